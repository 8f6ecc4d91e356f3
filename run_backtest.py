"""``python run_backtest.py --timeframe 1s --date 2025-08-09``: the same as ``squeezeflow backtest``."""

import sys

from squeezeflow_plugin.cli import main

if __name__ == "__main__":
    sys.exit(main(["backtest", *sys.argv[1:]]))
