"""Every check that the network runs, run here and explained."""
