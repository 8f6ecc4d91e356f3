"""The enter tag: what a trade remembers of its decision, readable from FreqTrade's own database.

``sf:6.25|e=1700000137`` is the score, rounded down to hundredths, and the decision second E of the entry
event. Everything that is judged later - stake, leverage, baseline, exits - follows from it and the records.
Between the two stands a note for people, ``sf:6.25|div|reset|abs|cov99|e=1700000137``: the setup's
divergence, the reset (``resetB`` for the explosive type), the parts that gave points (``abs`` absorption
candles, ``brk`` failed breakdowns, ``bias``, ``oi``), the lower of both classes' coverage of the last hour in
percent, and ``fragile`` where one venue alone makes the entry. Nothing is judged by it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.phases.layout import RESET_EXPLOSION

_TAG = re.compile(r"sf:(\d+\.\d{2})\|(?:(.+)\|)?e=(\d+)")
_EPS = 1e-9
NOTED = (
    *("reset_active", "score_absorption", "score_breakdown", "score_bias", "score_oi"),
    *("coverage_spot_1h", "coverage_perp_1h"),
)
"""The fields of a decision that ``note_of`` looks at."""
_PARTS = (("abs", "score_absorption"), ("brk", "score_breakdown"), ("bias", "score_bias"), ("oi", "score_oi"))


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


def note_of(values: Mapping[str, float]) -> str:
    """The note of an entry event from the fields of its decision.

    >>> note_of({"reset_active": 1.0, "score_absorption": 1.2, "score_breakdown": 0.0, "score_bias": 0.0,
    ...          "score_oi": 0.0, "coverage_spot_1h": 1.0, "coverage_perp_1h": 0.9912})
    'div|reset|abs|cov99'
    """
    reset = "resetB" if values["reset_active"] == RESET_EXPLOSION else "reset"
    parts = [name for name, field_name in _PARTS if values[field_name] > 0.0]
    covered = math.floor(min(values["coverage_spot_1h"], values["coverage_perp_1h"]) * 100 + _EPS)
    return "|".join(["div", reset, *parts, f"cov{covered}"])


def event_tag(event: Decision, further: str = "") -> EnterTag:
    """The tag of an entry event, ``further`` behind the note that follows from the decision."""
    note = note_of({name: float(getattr(event, name)) for name in NOTED})
    return tag_of(event.score, event.second, f"{note}|{further}" if further else note)


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
