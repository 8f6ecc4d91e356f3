"""Exchanges to trades: pure adapters, the registry that finds them, and the one connection with a socket."""
