"""Closed seconds' trades, packed, for as long as one that comes late is still merged with them."""

from __future__ import annotations

from typing import NamedTuple

from squeezeflow_plugin.bars.ticks import Ticks, pack, shrink

_SHRINK_AFTER_S = 120


class Held(NamedTuple):
    """A closed second of one market: its trades and the revision last given out (-1 where none was)."""

    trades: bytes | None
    liquidations: bytes | None
    revision: int


NOTHING = Held(None, None, -1)


class HeldSeconds:
    """The last ``horizon_s`` closed seconds.

    >>> held = HeldSeconds(horizon_s=600)
    >>> held.keep_packed(7, "X:a", b"...")
    >>> held.get(7, "X:a").revision, held.get(7, "X:b").revision
    (0, -1)
    """

    def __init__(self, horizon_s: int) -> None:
        self._horizon_s = horizon_s
        self._held: dict[int, dict[str, Held]] = {}

    def count(self) -> int:
        """How many seconds of markets."""
        return sum(map(len, self._held.values()))

    def get(self, second: int, market: str) -> Held:
        """NOTHING where nothing is held."""
        return self._held.get(second, {}).get(market, NOTHING)

    def keep(self, second: int, market: str, ticks: Ticks, liquidations: Ticks, revision: int) -> None:
        """Everything there is of that market and second, as given out with that revision."""
        self._held.setdefault(second, {})[market] = Held(
            pack(ticks) if ticks.times else None,
            pack(liquidations) if liquidations.times else None,
            revision,
        )

    def keep_packed(self, second: int, market: str, trades: bytes) -> None:
        """The same for trades that are packed already, given out for the first time."""
        self._held.setdefault(second, {})[market] = Held(trades, None, 0)

    def set_revision(self, second: int, market: str, revision: int) -> None:
        """What is held was given out with that revision. Raises KeyError where nothing is."""
        self._held[second][market] = self._held[second][market]._replace(revision=revision)

    def age(self, second: int) -> None:
        """``second`` is closed: let go of what is beyond the horizon, and keep old seconds smaller."""
        self._held.pop(second - self._horizon_s, None)
        old = self._held.get(second - _SHRINK_AFTER_S, {})
        for market, (trades, liquidations, revision) in old.items():
            old[market] = Held(shrink(trades), shrink(liquidations), revision)
