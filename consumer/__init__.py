"""The consumer: finds a provider, tunnels through it, and signs what it received."""
