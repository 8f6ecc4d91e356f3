"""The FreqTrade strategy; it decides nothing that the method has not decided."""
