"""Starting ``squeezeflow up`` in a folder of its own, as a user would, and ending it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from squeezeflow_plugin.settings import process_environ

ROOT = Path(__file__).parents[2]
UP = (sys.executable, "-m", "squeezeflow_plugin.cli", "up")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """``squeezeflow up`` in a folder that holds a copy of user_data."""
    shutil.copytree(ROOT / "user_data", folder / "user_data", ignore=shutil.ignore_patterns("squeezeflow"))
    return subprocess.Popen(
        [*UP, "--api-port", "0", *arguments],
        cwd=folder,
        env=process_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines_until(process: subprocess.Popen[str], word: str) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip("\n")
        if word in line:
            return


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(60)
    if process.stdout is not None:
        process.stdout.close()
