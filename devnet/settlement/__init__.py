"""`dpn demo settlement`: three of four validators turn hostile, and the contracts and whoever watches answer."""
