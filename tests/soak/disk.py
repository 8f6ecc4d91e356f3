"""A small disk of its own under a folder, to be filled up and made read-only; needs the right to mount."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_BLOCK = bytes(1 << 16)


class SmallDisk:
    """A tmpfs mounted at ``path`` until ``unmount``."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self._filler = path / "filler"
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "soak", path], check=True)

    @staticmethod
    def is_possible() -> bool:
        """Whether this user may mount."""
        return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0

    def fill(self) -> None:
        """Take every block that is free."""
        with self._filler.open("ab", buffering=0) as out:
            block = _BLOCK
            while block:
                try:
                    out.write(block)
                except OSError:
                    block = block[: len(block) // 2]

    def free(self) -> None:
        self._filler.unlink()

    def set_readonly(self, value: bool) -> None:
        """Raises CalledProcessError while a process has a file open for writing."""
        subprocess.run(["mount", "-o", f"remount,{'ro' if value else 'rw'}", self.path], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=True)
