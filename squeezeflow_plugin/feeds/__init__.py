"""Exchanges speak, trades come out."""
