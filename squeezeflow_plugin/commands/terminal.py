"""What commands show: lines on stdout, progress on a terminal's stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def write_lines(lines: Iterable[str]) -> None:
    """Write each line to stdout."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def show_progress(text: str, fraction: float) -> None:
    """A progress bar on a terminal's last line; nothing where stderr is no terminal."""
    if sys.stderr.isatty():
        done = round(30 * fraction)
        end = "\n" if fraction >= 1 else ""
        sys.stderr.write(f"\r[{'#' * done}{'.' * (30 - done)}] {fraction:4.0%} {text}\x1b[K{end}")
        sys.stderr.flush()
