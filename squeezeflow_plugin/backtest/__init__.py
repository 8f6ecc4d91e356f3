"""Backtests on FreqTrade's own trade logic, fed from the store, second by second."""
