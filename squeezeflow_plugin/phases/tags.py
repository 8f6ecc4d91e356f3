"""The enter tag: what a trade remembers of its decision, readable from FreqTrade's own database.

``sf:6.25|e=1700000137`` is the score, rounded down to hundredths, and the decision second E of the entry
event. Everything that is judged later - stake, leverage, baseline, exits - follows from it and the records.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_TAG = re.compile(r"sf:(\d+\.\d{2})\|e=(\d+)")
_EPS = 1e-9


@dataclass(frozen=True)
class EnterTag:
    """``score`` in hundredths, never rounded up across a tier; ``second`` the decision second E."""

    score: float
    second: int

    def __str__(self) -> str:
        return f"sf:{self.score:.2f}|e={self.second}"


def tag_of(score: float, second: int) -> EnterTag:
    """The tag of an entry with this score.

    >>> str(tag_of(6.2589, 1700000137))
    'sf:6.25|e=1700000137'
    >>> tag_of(6.0 - 1e-10, 0).score
    6.0
    """
    return EnterTag(math.floor((score + _EPS) * 100 + _EPS) / 100, second)


def parse_tag(text: str | None) -> EnterTag | None:
    """The tag in FreqTrade's enter tag; None for a trade that is not ours (by hand, or another strategy's).

    >>> parse_tag("sf:6.25|e=1700000137")
    EnterTag(score=6.25, second=1700000137)
    >>> parse_tag("force_entry") is None
    True
    """
    found = _TAG.fullmatch(text or "")
    return None if found is None else EnterTag(float(found[1]), int(found[2]))
