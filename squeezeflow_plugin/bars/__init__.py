"""Trades become exact one-second bars, their closing records and their coverage. Pure."""
