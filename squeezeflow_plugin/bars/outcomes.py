"""What can become of a trade on its way into a bar."""

from __future__ import annotations

import enum

import msgspec


class Outcome(enum.Enum):
    """What became of a trade on arrival. Repeats are found, and counted, when its second is closed."""

    NEW = 1
    """Its second is open."""
    REVISION = 2
    """Its second is closed; the next close brings the bar again, unless it is a repeat."""
    BEYOND_HORIZON = 3
    """Too late to be merged; counted and named."""
    AHEAD = 4
    """Dated further ahead than accepted; counted and named."""
    EARLIER = 5
    """From before the first second there ever was: history, not a loss; counted and named."""
    HELD = 6
    """Dated ahead; in quarantine until its second comes."""


REFUSALS = {Outcome.BEYOND_HORIZON: "beyond_horizon", Outcome.AHEAD: "ahead", Outcome.EARLIER: "earlier"}


class Refused(msgspec.Struct, frozen=True):
    """Trades of one market that were not merged: how many, their volume in quote currency, the last id."""

    market: str
    outcome: Outcome
    count: int
    quote: float
    last_id: str
    last_ns: int


class Counts(msgspec.Struct, frozen=True):
    """Totals since the builder was made.

    ``late`` trades came after their second's close and within the horizon; ``duplicates`` are deliveries
    that repeated an id, ``conflicts`` those of them that differed in content; ``quarantined`` were dated
    ahead and held until their second came; the others were refused.
    """

    received: int
    late: int
    duplicates: int
    conflicts: int
    beyond_horizon: int
    ahead: int
    earlier: int = 0
    quarantined: int = 0
