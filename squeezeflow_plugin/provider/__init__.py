"""Stored and live records become aligned rows for the method, and candles for FreqTrade."""
