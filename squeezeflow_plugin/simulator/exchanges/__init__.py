"""The simulated exchanges beside Binance, one file each."""
