"""Recomputes epochs from outside, from the chain and from any validator's files, and explains what came out of them."""
