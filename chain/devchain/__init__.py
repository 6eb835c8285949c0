"""A chain for development: py-evm behind real JSON-RPC, in this process (`chain.inprocess`) or served (`chain.devchain.server`)."""
