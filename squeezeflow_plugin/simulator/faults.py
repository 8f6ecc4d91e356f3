"""Faults of the wire: a seeded script of what goes wrong when, and the line that plays it. Pure.

A script says for each fault which exchange, from when to when, and how strongly; ``Line`` applies it to the
frames of one connection, ``Veil`` to the trades that an exchange shows nowhere any more. The script is a
function of its seed, and so is what a line makes of the same frames at the same times.
"""

from __future__ import annotations

import enum
import heapq
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.simulator.dialect import Frame
from squeezeflow_plugin.simulator.trades import IntArray

_GZIP = b"\x1f\x8b\x08\x00"


class Kind(enum.Enum):
    """What can go wrong."""

    CUT = "cut"
    """Connections end and are refused until it is over."""
    SILENCE = "silence"
    """Connections stand and answer, and bring no other frame any more; so do those that are opened in it."""
    DUPLICATE = "duplicate"
    """Frames come again within two seconds."""
    REORDER = "reorder"
    """Frames are held for up to 0.8 s each, so that they overtake one another."""
    DELAY = "delay"
    """Frames are held for up to four seconds, in order."""
    MALFORMED = "malformed"
    """Frames break off in the middle."""
    GZIP_GARBAGE = "gzip garbage"
    """Binary frames that look packed and are not; they replace those that are."""
    RATE_LIMIT = "429"
    """REST answers that there were too many requests."""
    CLOCK_JUMP = "clock jump"
    """The listener's clock goes ahead at once, for good; played by whoever holds that clock."""
    MISSING_ID = "missing id"
    """Trades are neither sent nor shown by REST, ever."""


_LONGEST_S = {
    Kind.CUT: 12.0,
    Kind.SILENCE: 12.0,
    Kind.DUPLICATE: 15.0,
    Kind.REORDER: 15.0,
    Kind.DELAY: 10.0,
    Kind.MALFORMED: 10.0,
    Kind.GZIP_GARBAGE: 10.0,
    Kind.RATE_LIMIT: 20.0,
    Kind.CLOCK_JUMP: 1.0,
    Kind.MISSING_ID: 10.0,
}
_DUPLICATE_WITHIN_MS, _REORDER_WITHIN_MS, _DELAY_MS = 2000, 800, (500, 4000)
_RETRY_AFTER_S = 3
_JUMP_MS = (100, 5000)


@dataclass(frozen=True)
class Fault:
    """One fault of an exchange over ``[start_ms, stop_ms)``.

    ``strength`` in (0, 1] is the share of frames (or trades) it meets, and how far a clock jumps; ``seed``
    decides which.
    """

    kind: Kind
    exchange: str
    start_ms: int
    stop_ms: int
    strength: float
    seed: int

    def is_on(self, now_ms: int) -> bool:
        return self.start_ms <= now_ms < self.stop_ms

    @property
    def jump_ms(self) -> int:
        """How far a clock that jumps goes ahead."""
        least, most = _JUMP_MS
        return least + int((most - least) * self.strength)


def script(
    seed: int,
    exchanges: Sequence[str],
    start_ms: int,
    stop_ms: int,
    *,
    sequenced: Sequence[str],
    rounds: int = 1,
) -> tuple[Fault, ...]:
    """Every kind of fault ``rounds`` times, at random times on random exchanges, over by ``stop_ms``.

    Ids are missing on one of the ``sequenced`` exchanges: elsewhere nobody could tell.

    >>> faults = script(7, ["BYBIT", "OKEX"], 0, 60_000, sequenced=["OKEX"])
    >>> {fault.kind for fault in faults} == set(Kind), max(fault.stop_ms for fault in faults) <= 60_000
    (True, True)
    >>> faults == script(7, ["BYBIT", "OKEX"], 0, 60_000, sequenced=["OKEX"])
    True
    """
    rng = random.Random(seed)  # noqa: S311 - a script, no secret
    faults = []
    for _ in range(rounds):
        for kind in Kind:
            length = int(1000 * rng.uniform(0.5, _LONGEST_S[kind]))
            start = rng.randint(start_ms, max(stop_ms - length, start_ms))
            where = rng.choice(sequenced if kind is Kind.MISSING_ID else exchanges)
            strength, own_seed = rng.uniform(0.1, 1.0), rng.getrandbits(32)
            faults.append(Fault(kind, where, start, min(start + length, stop_ms), strength, own_seed))
    return tuple(sorted(faults, key=lambda fault: (fault.start_ms, fault.kind.value)))


class Line:
    """One connection's way from the exchange to the client: frames go in when they are sent, and come out
    when they arrive. Where nothing is wrong they arrive at once and in order.
    """

    def __init__(self, faults: Iterable[Fault], seed: int = 0) -> None:
        self._faults = tuple(faults)
        self._rng = random.Random(seed)  # noqa: S311 - a script, no secret
        self._under_way: list[tuple[int, int, Frame]] = []
        self._sent = 0
        self._floor_ms = 0
        self._is_dead = False

    def answer(self, frames: Iterable[Frame], now_ms: int) -> None:
        """What the client asked for is answered now: even where it is silent otherwise."""
        for frame in frames:
            self._in_order(frame, now_ms)

    def send(self, frames: Iterable[Frame], now_ms: int) -> None:
        """Frames are sent now."""
        on = [fault for fault in self._faults if fault.is_on(now_ms)]
        self._is_dead = self._is_dead or any(fault.kind is Kind.SILENCE for fault in on)
        if self._is_dead:
            return
        if not on:
            for frame in frames:
                self._in_order(frame, now_ms)
            return
        for frame in frames:
            self._troubled(frame, now_ms, {fault.kind: fault for fault in on})

    def take(self, now_ms: int) -> list[Frame]:
        """The frames that have arrived by now."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now_ms:
            arrived.append(heapq.heappop(self._under_way)[2])
        return arrived

    def next_ms(self) -> int | None:
        """When the next frame arrives; None where none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def is_cut(self, now_ms: int) -> bool:
        """Whether connections end now, and none is accepted."""
        return any(fault.kind is Kind.CUT and fault.is_on(now_ms) for fault in self._faults)

    def _troubled(self, frame: Frame, now_ms: int, on: dict[Kind, Fault]) -> None:
        chance = self._rng.random
        if (garbage := on.get(Kind.GZIP_GARBAGE)) and chance() < garbage.strength:
            self._in_order(_GZIP + self._rng.randbytes(self._rng.randrange(60)), now_ms)
            if isinstance(frame, bytes):
                return
        if (broken := on.get(Kind.MALFORMED)) and chance() < broken.strength:
            frame = frame[: self._rng.randrange(len(frame))]
        if (again := on.get(Kind.DUPLICATE)) and chance() < again.strength:
            self._put(frame, now_ms + self._rng.randrange(_DUPLICATE_WITHIN_MS))
        if (mixed := on.get(Kind.REORDER)) and chance() < mixed.strength:
            self._put(frame, now_ms + self._rng.randrange(_REORDER_WITHIN_MS))
            return
        delay = on.get(Kind.DELAY)
        least, most = _DELAY_MS
        self._in_order(frame, now_ms + (int(least + (most - least) * delay.strength) if delay else 0))

    def _in_order(self, frame: Frame, at_ms: int) -> None:
        self._floor_ms = max(self._floor_ms, at_ms)
        self._put(frame, self._floor_ms)

    def _put(self, frame: Frame, at_ms: int) -> None:
        self._sent += 1
        heapq.heappush(self._under_way, (at_ms, self._sent, frame))


class Veil:
    """The trades of an exchange that are missing for good; for markets whose ids are a sequence."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._faults = [fault for fault in faults if fault.kind is Kind.MISSING_ID]

    def shown(self, at_ms: IntArray, ids: IntArray) -> npt.NDArray[np.bool_]:
        """bool[n]: which trades of one market are seen at all, by their times and ids."""
        seen = np.ones(len(ids), np.bool_)
        for fault in self._faults:
            mixed = (ids.astype(np.uint64) + np.uint64(fault.seed)) * np.uint64(0x9E3779B97F4A7C15)
            met = (mixed >> np.uint64(40)) % np.uint64(1000) < 300 * fault.strength
            seen &= ~(met & (at_ms >= fault.start_ms) & (at_ms < fault.stop_ms))
        return seen


def retry_after_s(faults: Iterable[Fault], now_ms: int) -> int:
    """The seconds that a client is asked to leave REST alone for; 0 where it may ask."""
    return _RETRY_AFTER_S if any(f.kind is Kind.RATE_LIMIT and f.is_on(now_ms) for f in faults) else 0
