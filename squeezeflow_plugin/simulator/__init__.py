"""Stands where the exchanges stand, on loopback."""
