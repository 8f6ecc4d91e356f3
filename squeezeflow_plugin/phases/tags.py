"""The enter tag: what a trade remembers of its decision, readable from FreqTrade's own database.

``sf:6.25|e=1700000137`` is the score, rounded down to hundredths, and the decision second E of the entry
event. Everything that is judged later - stake, leverage, baseline, exits - follows from it and the records.
Between the two there may be a note for people, ``sf:6.25|fragile|e=1700000137``; nothing is judged by it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_TAG = re.compile(r"sf:(\d+\.\d{2})\|(?:(.+)\|)?e=(\d+)")
_EPS = 1e-9


@dataclass(frozen=True)
class EnterTag:
    """``score`` in hundredths, never rounded up across a tier; ``second`` the decision second E."""

    score: float
    second: int
    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        note = f"{self.note}|" if self.note else ""
        return f"sf:{self.score:.2f}|{note}e={self.second}"


def tag_of(score: float, second: int, note: str = "") -> EnterTag:
    """The tag of an entry with this score.

    >>> str(tag_of(6.2589, 1700000137)), str(tag_of(6.2589, 1700000137, "fragile"))
    ('sf:6.25|e=1700000137', 'sf:6.25|fragile|e=1700000137')
    >>> tag_of(6.0 - 1e-10, 0).score
    6.0
    """
    return EnterTag(math.floor((score + _EPS) * 100 + _EPS) / 100, second, note)


def parse_tag(text: str | None) -> EnterTag | None:
    """The tag in FreqTrade's enter tag; None for a trade that is not ours (by hand, or another strategy's).

    >>> parse_tag("sf:6.25|e=1700000137")
    EnterTag(score=6.25, second=1700000137, note='')
    >>> parse_tag("sf:6.25|div|reset|e=1700000137").note
    'div|reset'
    >>> parse_tag("force_entry") is None
    True
    """
    found = _TAG.fullmatch(text or "")
    return None if found is None else EnterTag(float(found[1]), int(found[3]), found[2] or "")
