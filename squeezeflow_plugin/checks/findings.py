"""What a check says, and what follows for the exit status."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec


class Level(enum.Enum):
    """FAIL makes the exit status 1; WARN is worth a look; SKIP says that something is switched off."""

    OK = "ok"
    SKIP = "skip"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True):
    """One part of the system, how it stands, and the reason in one sentence; what to do, where that is known.

    >>> str(Finding("redis", Level.FAIL, "connection refused"))
    'FAIL redis      connection refused'
    >>> str(Finding("disk", Level.WARN, "0.5 GB are free", "free space"))
    'warn disk       0.5 GB are free; free space'
    """

    part: str
    level: Level
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.level.value:<4} {self.part:<10} {self.text}{'; ' * bool(self.remedy)}{self.remedy}"


def exit_status(findings: Iterable[Finding]) -> int:
    """0 where nothing fails, else 1.

    >>> exit_status([Finding("bot", Level.WARN, "not started")])
    0
    """
    return int(any(finding.level is Level.FAIL for finding in findings))
