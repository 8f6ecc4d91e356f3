"""The simulated market as a whole: all assets' sources, and the tape of each of their markets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from squeezeflow_plugin.simulator.echoes import Echo
from squeezeflow_plugin.simulator.episodes import MINUTE_S, Episode
from squeezeflow_plugin.simulator.profiles import MarketTerms
from squeezeflow_plugin.simulator.sources import AssetSource
from squeezeflow_plugin.simulator.tape import Tape
from squeezeflow_plugin.simulator.trades import AssetMinute

# Seconds after the first release at which the waiting episodes of the second, the third and all other
# assets break loose.
_RELEASE_AFTER_S = ((0, 0), (40, 70), (240, 480), (500, 1500))


_KEPT_COUNTS = 16  # minutes; a squeeze that is told makes the last few again


@dataclass(frozen=True)
class Planned:
    """An episode and whose it is."""

    base: str
    episode: Episode


class Venue:
    """Every market of every asset, minute by minute: Binance's, and the ``echoes`` of them elsewhere."""

    def __init__(
        self,
        sources: Sequence[AssetSource],
        seed: int,
        echoes: Sequence[Echo] = (),
        release_every_s: int | None = None,
    ) -> None:
        self._sources = tuple(sources)
        self._release_every_s = release_every_s
        self._seed = seed
        self._rng_seed = (seed, 0x5C23)
        self.echoes = tuple(echoes)
        self._made: dict[str, OrderedDict[int, int]] = {echo.market: OrderedDict() for echo in echoes}
        self.tapes: dict[str, Tape] = {}
        self._echoes: dict[str, list[Echo]] = {}
        for source in sources:
            for profile in source.profile.markets:
                self.tapes[profile.market] = Tape(profile, seed, source.profile.key, source.delays)
                near = [e for e in echoes if _is_echo(e, profile)]
                self._echoes[profile.market] = near
                self.tapes |= {e.market: Tape(e, seed, e.key, source.delays) for e in near}

    @property
    def markets(self) -> tuple[MarketTerms, ...]:
        return tuple(tape.profile for tape in self.tapes.values())

    @property
    def second(self) -> int:
        """The first second that not every asset has been made for."""
        return min(source.second for source in self._sources)

    def extend(self, until: int) -> None:
        """Make all minutes that begin before the second ``until``."""
        for source in self._sources:
            while source.second < until:
                self._put(source.advance())

    def release(self, second: int) -> Planned | None:
        """Let the first asset's episode break loose at ``second`` and the others' soon after; what comes
        first.

        None where no asset has an episode that waits. What was sent before ``second`` does not change. With
        ``release_every_s`` the others follow in their order, so many seconds apart.
        """
        first = None
        rng = np.random.default_rng(self._rng_seed)
        for number, source in enumerate(self._sources):
            after = int(rng.uniform(*_RELEASE_AFTER_S[min(number, len(_RELEASE_AFTER_S) - 1)]))
            if self._release_every_s is not None:
                after = number * self._release_every_s
            if not source.episodes or source.episodes[-1].release is not None:
                continue
            for minute in source.release(second + (after if first else 0)):
                self._put(minute)
            first = first or Planned(source.profile.base, source.episodes[-1])
        return first

    @property
    def planned(self) -> tuple[Planned, ...]:
        """Every episode planned so far, by asset and in order."""
        return tuple(
            Planned(source.profile.base, episode) for source in self._sources for episode in source.episodes
        )

    def _put(self, minute: AssetMinute) -> None:
        for market, trades in minute.trades.items():
            forced = minute.liquidations.get(market, trades.select(slice(0, 0)))
            self.tapes[market].put(minute.second, trades, forced)
            for echo in self._echoes[market]:
                made = self._made[echo.market]
                before = made.get(minute.second - MINUTE_S, 0)
                own, own_forced = echo.minute(self._seed, minute.second, trades, forced, before)
                self.tapes[echo.market].put(minute.second, own, own_forced)
                made[minute.second] = before + len(own)
                while len(made) > _KEPT_COUNTS:
                    made.popitem(last=False)


def _is_echo(echo: Echo, profile: MarketTerms) -> bool:
    ours, theirs = echo.instrument, profile.instrument
    return (ours.base, ours.kind) == (theirs.base, theirs.kind)
