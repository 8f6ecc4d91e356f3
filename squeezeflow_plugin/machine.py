"""What the machine grants this process: its memory limit, and what its files take."""

from __future__ import annotations

from pathlib import Path

import psutil

# Control groups, version 2 and 1, as a container sees its own.
# https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
LIMIT_FILES = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_budget(limit_files: tuple[Path, ...] = LIMIT_FILES) -> int:
    """Bytes this process may hold: its control group's limit, else the machine's memory."""
    installed = int(psutil.virtual_memory().total)
    for path in limit_files:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():  # "max" is no limit, and so is more than there is
            return min(int(text), installed)
    return installed


def size_of(path: Path) -> int:
    """Bytes of a file; 0 for a folder, and for a file that has just gone."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0  # segments and write-ahead logs come and go
