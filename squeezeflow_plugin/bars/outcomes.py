"""What can become of a trade on its way into a bar."""

from __future__ import annotations

import enum

import msgspec

from squeezeflow_plugin.market import Trade


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


class Refusals:
    """Trades that are not merged, counted in all and since they were last taken.

    >>> refusals = Refusals()
    >>> refusals.note(Trade("X:a", 7, "1", 2.0, 1.0, 2.0, 1), Outcome.AHEAD)
    >>> refusals.totals["ahead"], [refused.quote for refused in refusals.take()], refusals.take()
    (1, [2.0], ())
    """

    def __init__(self) -> None:
        self.totals = dict.fromkeys(REFUSALS.values(), 0)
        self._since: dict[tuple[str, Outcome], Refused] = {}

    def note(self, trade: Trade, outcome: Outcome) -> None:
        """One more, for that reason."""
        self.totals[REFUSALS[outcome]] += 1
        key = (trade.market, outcome)
        before = self._since.get(key)
        self._since[key] = Refused(
            trade.market,
            outcome,
            1 + (before.count if before else 0),
            trade.quote + (before.quote if before else 0.0),
            trade.trade_id,
            trade.exchange_ns,
        )

    def take(self) -> tuple[Refused, ...]:
        """Those since the last call, one entry a market and reason."""
        taken = tuple(self._since.values())
        self._since.clear()
        return taken
