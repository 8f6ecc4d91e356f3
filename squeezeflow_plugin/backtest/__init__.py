"""Backtests on FreqTrade's own trade logic, fed from the store: the stock command and true one-second runs."""
