"""Squeezes: what an episode adds to a market, second by second.

Flows are in typical seconds (multiples of sigma, the root mean square of a class's signed volume of a
second over the last hour), price drift in typical returns of a second, so that an episode looks the same
to the method on a large and a small coin. For a squeeze of shorts (direction +1; a squeeze of longs has
all signs mirrored), with R the second of its release:

- build-up, 14 minutes: spot buys 0.16 a second, perpetuals sell as much, the price holds: S(15m) is about
  134 sigma, z(15m) about +-4.5 where the setup asks 2;
- hold, until R: 0.10 a second each way, so that the setup stays (z(15m) about 3) and nothing is given
  back early;
- release, 24 s: shorts cover 9 a second and are liquidated, the price runs 4 returns a second: within
  about 17 s the perpetuals have given back more than 0.15 of the gap and z_r(5m) passes 2, the explosive
  confirmation;
- then either the *reversal*, 84 s: spot sells 1.2 a second while perpetuals still buy (zE_spot near -6
  when min_hold is over), or the *break*: the price falls through the low of the half hour before within a
  minute.

That is one in an hour and a half. ``Pace.every`` says how squeezes that come more often look.

During build-up and hold the generator takes back each minute's chance flow and price move in the next minute.
Nothing before R depends on R: a script whose R is named late changes no trade of an earlier second.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

import numpy as np

from squeezeflow_plugin.errors import SimulatorError
from squeezeflow_plugin.simulator.trades import FloatArray

MINUTE_S = 60
BUILD_S = 840
LEAST_EVERY_S = 120

_HOLD_FLOW = 0.10
_LIQUIDATION_CHANCE = 0.7


class Ending(enum.Enum):
    """How an episode ends, named after the exit that it leads to."""

    FLOW_REVERSAL = "flow_reversal"
    RANGE_BREAK = "range_break"


@dataclass(frozen=True)
class Pace:
    """How large and how long an asset's squeezes are, and how long they wait for each other.

    Lengths and waits (from, to) in seconds, flows in sigmas and drifts in typical returns, each a second.
    ``reversal_flow`` of spot and perpetuals; ``reversal_drift`` with the seconds after the release's end from
    and to which it lasts. ``after_s`` is counted from the release to where the episode leaves the market
    alone; ``break_share`` of the episodes end with a break. The defaults are the module's docstring's.
    """

    build_s: int = BUILD_S
    build_flow: float = 0.16
    hold_s: tuple[float, float] = (120, 360)
    release_s: int = 24
    release_flow: float = 9.0
    drift: float = 4.0
    reversal_s: int = 84
    reversal_flow: tuple[float, float] = (-1.2, 0.5)
    reversal_drift: tuple[float, float, float] = (-0.35, 30, 150)
    after_s: int = 240
    quiet_s: tuple[float, float] = (1500, 5400)
    break_share: float = 0.2

    @classmethod
    def every(cls, seconds: int) -> Pace:
        """Squeezes about ``seconds`` apart, at least 120 (SimulatorError otherwise), none with a break.

        They are short, and the smaller the more often they come: the hour that sigma is measured over holds
        them too, and their sum of squares must stay below the hour's. The method with its defaults therefore
        enters few of them; ``div_threshold`` 0.5, ``rearm`` and ``reset_ttl`` 20 enter most.

        >>> Pace.every(300).quiet_s
        (0.0, 360.0)
        """
        if seconds < LEAST_EVERY_S:
            raise SimulatorError(
                f"squeezes must be {LEAST_EVERY_S} s apart at least, not {seconds}; nothing is simulated"
            )
        size = math.sqrt(seconds / LEAST_EVERY_S)
        return cls(
            build_s=40,
            build_flow=1.0 * size,
            hold_s=(2, 6),
            release_s=14,
            release_flow=2.0 * size,
            drift=2.2 * size,
            reversal_s=40,
            reversal_flow=(-1.0 * size, 0.5 * size),
            reversal_drift=(-0.77 * size, 0, 40),
            after_s=60,
            quiet_s=(0.0, 2.0 * (seconds - LEAST_EVERY_S)),
            break_share=0.0,
        )


FREE = Pace()


@dataclass(frozen=True)
class Push:
    """What the script adds in one minute; all arrays have length 60, one entry a second.

    ``flow_spot flow_perp`` in sigmas, ``drift`` in typical returns; ``tracked`` where chance is taken back;
    ``liquidations`` the chance of a forced order, negative where longs are forced to sell.
    """

    flow_spot: FloatArray
    flow_perp: FloatArray
    drift: FloatArray
    tracked: FloatArray
    liquidations: FloatArray


@dataclass(frozen=True)
class Episode:
    """One squeeze: ``direction`` +1 of shorts, -1 of longs. ``build_start`` is a whole minute; ``release``
    is the epoch second at which it breaks loose, None while it waits to be told.
    """

    direction: int
    build_start: int
    release: int | None
    ending: Ending = Ending.FLOW_REVERSAL
    pace: Pace = FREE

    @property
    def stop(self) -> int | None:
        """The first second that the episode leaves alone; None while it waits."""
        return None if self.release is None else self.release + self.pace.after_s

    def push(self, second: int) -> Push | None:
        """What it adds to the minute that starts at ``second``; None where that is nothing.

        >>> Episode(1, 600, 1500).push(660).flow_spot[0], Episode(-1, 600, 1500).push(1500).flow_perp[0]
        (np.float64(0.16), np.float64(-9.0))
        """
        if second < self.build_start or (self.stop is not None and second >= self.stop):
            return None
        pace = self.pace
        seconds = (second + np.arange(MINUTE_S)).astype(np.float64)
        after = np.full(MINUTE_S, -1.0) if self.release is None else seconds - self.release
        waiting = _between(after, -math.inf, 0)
        backing = np.where(seconds < self.build_start + pace.build_s, pace.build_flow, _HOLD_FLOW) * waiting
        releasing = _between(after, 0, pace.release_s)
        spot, perp, drift = self._aftermath(after)
        return Push(
            flow_spot=self.direction * (backing + 0.6 * releasing + spot),
            flow_perp=self.direction * (-backing + pace.release_flow * releasing + perp),
            drift=self.direction * (pace.drift * releasing + drift),
            tracked=waiting,
            liquidations=self.direction * _LIQUIDATION_CHANCE * releasing,
        )

    def _aftermath(self, after: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Spot flow, perpetual flow and drift of a rising squeeze once the release is over."""
        since = after - self.pace.release_s
        if self.ending is Ending.RANGE_BREAK:
            return 0.2 * _between(since, 0, 74), 0.0 * since, -4.5 * _between(since, 34, 74)
        reversing = _between(since, 0, self.pace.reversal_s)
        back, start, stop = self.pace.reversal_drift
        spot, perp = self.pace.reversal_flow
        return spot * reversing, perp * reversing, back * _between(since, start, stop)


def _between(after: FloatArray, start: float, stop: float) -> FloatArray:
    """1.0 in the seconds of ``[start, stop)``, 0.0 in the others."""
    return ((after >= start) & (after < stop)).astype(np.float64)


@dataclass(frozen=True)
class Script:
    """The episodes of one asset, in order and apart from each other; ``pace`` of those that follow."""

    episodes: tuple[Episode, ...] = ()
    pace: Pace = FREE

    def push(self, second: int) -> Push | None:
        """What the episodes add to the minute that starts at ``second``; None where that is nothing."""
        for episode in reversed(self.episodes):
            if episode.build_start <= second:
                return episode.push(second)
        return None

    @property
    def waiting(self) -> Episode | None:
        """The episode that waits to be told; it is always the last one."""
        last = self.episodes[-1] if self.episodes else None
        return last if last is not None and last.release is None else None

    def released(self, second: int) -> Script:
        """The same script with the waiting episode released at ``second``; itself where none waits."""
        waiting = self.waiting
        if waiting is None:
            return self
        return replace(self, episodes=(*self.episodes[:-1], replace(waiting, release=second)))

    def followed(self, seed: int, key: int, until: int) -> Script:
        """The same script with random episodes behind it, built up before ``until``; itself where one waits.

        Each follows from (seed, asset, number of the episode) and the one before it.
        """
        episodes = list(self.episodes)
        while episodes and (stop := episodes[-1].stop) is not None and stop < until:
            following = _next_episode(seed, key, len(episodes), stop, self.pace)
            if following.build_start >= until:
                break
            episodes.append(following)
        return replace(self, episodes=tuple(episodes)) if len(episodes) > len(self.episodes) else self


def whole_minute(second: float) -> int:
    """The start of the minute that holds ``second``.

    >>> whole_minute(119.5)
    60
    """
    return int(second // MINUTE_S) * MINUTE_S


def _next_episode(seed: int, key: int, number: int, after: int, pace: Pace) -> Episode:
    rng = np.random.default_rng((seed, key, number, 0x5C21))
    build_start = whole_minute(after + rng.uniform(*pace.quiet_s)) + MINUTE_S
    release = build_start + pace.build_s + int(rng.uniform(*pace.hold_s))
    direction = 1 if rng.random() < 0.5 else -1
    ending = Ending.RANGE_BREAK if rng.random() < pace.break_share else Ending.FLOW_REVERSAL
    return Episode(direction, build_start, release, ending, pace)


def free_script(seed: int, key: int, origin: int, until: int, pace: Pace = FREE) -> Script:
    """Episodes at random times all the way from ``origin``; at the default pace the first builds up within
    90 minutes.

    >>> script = free_script(7, 1, 0, 86_400)
    >>> len(script.episodes) > 5, {episode.direction for episode in script.episodes} == {1, -1}
    (True, True)
    """
    return Script((_next_episode(seed, key, 0, origin, pace),), pace).followed(seed, key, until)


def waiting_script(seed: int, key: int, direction: int, ready_by: int) -> Script:
    """One episode that is built up 6 to 11 minutes before ``ready_by`` and then waits to be released.

    >>> waiting_script(7, 1, -1, 86_400).waiting.direction
    -1
    """
    rng = np.random.default_rng((seed, key, 0x5C22))
    build_start = whole_minute(ready_by - FREE.build_s - rng.uniform(360, 660))
    return Script((Episode(direction, build_start, None),))
