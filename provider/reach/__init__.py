"""How others reach the provider: its port, the router's forwarding, and a master's relay."""
