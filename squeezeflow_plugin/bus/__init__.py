"""Bars in flight: one contract, kept in memory and by Redis Streams."""
