"""Closing records as a troubled collector writes them: silences, holes, repairs, late revisions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from squeezeflow_plugin.market import Bar, ClosingRecord, Interval

_LONGEST_S = 4
_LATEST_S = 15
_EACH = (1, 3)


def troubled(
    records: Sequence[ClosingRecord], start: int, stop: int, rng: random.Random
) -> tuple[list[ClosingRecord], Counter[str]]:
    """The records with each kind of fault up to three times in the seconds ``[start, stop)``, and how often.

    *hole*: seconds of a market whose trades nobody heard; *repaired hole*: the same, told a little later;
    *late revision*: a bar that lacks half of its buys until then; *silence*: records that come late, all at
    once; *collector restarted*: the same, and nothing was heard meanwhile.
    """
    troubles = _Troubles(records, start, stop, rng)
    for what in (troubles.hole, troubles.repaired, troubles.late, troubles.silence, troubles.restarted):
        for _ in range(rng.randint(*_EACH)):
            what()
    return list(troubles.records.values()), troubles.met


class _Troubles:
    def __init__(self, records: Sequence[ClosingRecord], start: int, stop: int, rng: random.Random) -> None:
        self.records = {record.second: record for record in records}
        self.met: Counter[str] = Counter()
        self._span = start, stop
        self._rng = rng

    def hole(self) -> None:
        market, seconds = self._market(), self._seconds()
        for second in seconds:
            self._forget(market, second)
        self.met["hole"] += 1

    def repaired(self) -> None:
        market, seconds = self._market(), self._seconds()
        bars = [bar for second in seconds if (bar := self._forget(market, second)) is not None]
        late = self._later(seconds[-1])
        record = self.records[late]
        span = Interval(market, seconds[0], seconds[-1] + 1)
        self.records[late] = replace(
            record, revisions=_sorted((*record.revisions, *bars)), repaired=(*record.repaired, span)
        )
        self.met["repaired hole"] += 1

    def late(self) -> None:
        for second in self._seconds():
            bars = self.records[second].bars
            if not bars:
                continue
            bar = self._rng.choice(bars)
            if bar.revision or not bar.cbuy:
                continue
            less = replace(bar, vbuy=bar.vbuy / 2, cbuy=bar.cbuy - bar.cbuy // 2)
            self.records[second] = replace(
                self.records[second], bars=tuple(less if each is bar else each for each in bars)
            )
            late = self._later(second)
            again = (*self.records[late].revisions, replace(bar, revision=1))
            self.records[late] = replace(self.records[late], revisions=_sorted(again))
        self.met["late revision"] += 1

    def silence(self) -> None:
        self._delay(self._seconds())
        self.met["silence"] += 1

    def restarted(self) -> None:
        seconds = self._seconds()
        for second in seconds:
            record = self.records[second]
            markets = tuple(sorted((*record.covered, *record.uncovered)))
            self.records[second] = replace(record, bars=(), covered=(), uncovered=markets)
        self._delay(seconds)
        self.met["collector restarted"] += 1

    def _delay(self, seconds: range) -> None:
        """Close them when the last one is; so they come at once."""
        end_ns = self.records[seconds[-1]].closed_ns
        for second in seconds:
            self.records[second] = replace(self.records[second], closed_ns=end_ns)

    def _forget(self, market: str, second: int) -> Bar | None:
        """Take the market out of the second; its bar."""
        record = self.records[second]
        bar = next((each for each in record.bars if each.market == market), None)
        self.records[second] = replace(
            record,
            bars=tuple(each for each in record.bars if each is not bar),
            covered=tuple(name for name in record.covered if name != market),
            uncovered=tuple(sorted({*record.uncovered, market})),
        )
        return bar

    def _market(self) -> str:
        record = self.records[self._span[0]]
        return self._rng.choice(sorted((*record.covered, *record.uncovered)))

    def _seconds(self) -> range:
        start, stop = self._span
        length = self._rng.randint(1, _LONGEST_S)
        first = self._rng.randrange(start, stop - length)
        return range(first, first + length)

    def _later(self, second: int) -> int:
        return second + self._rng.randint(1, _LATEST_S)


def _sorted(bars: Sequence[Bar]) -> tuple[Bar, ...]:
    return tuple(sorted(bars, key=lambda bar: (bar.second, bar.market, bar.revision)))
