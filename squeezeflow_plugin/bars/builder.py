"""Trades in any order, any number of times, become exact one-second bars and their revisions.

A bar is a function of its set of trades. Seconds are closed one after the other. A trade for a
second still open waits in a list; ordering, de-duplication and sums come at the close. A closed
second's trades are kept packed for the horizon (default 600 s): a trade that arrives late within it
gives the whole bar again, from all its trades, with the next close, as the next revision. A trade
that comes later than that is not merged - what it would be merged with is no longer here, and a bar is
never replaced by one with less - but counted and named. So is a trade dated further ahead than
``accept_until`` holds in quarantine until its second comes, and one from before
the first second there ever was, which is no loss.

Memory: a closed trade takes about 39 bytes (ten-digit id), from two minutes on, when hardly a late one comes
any more, about 17, and a market's second some 0.4 kB beside.

>>> builder = BarBuilder(horizon_s=600)
>>> builder.begin(7)
>>> builder.add(Trade("X:a", 7_200_000_000, "2", 10.0, 1.0, 10.0, 1))
<Outcome.NEW: 1>
>>> builder.close(7).bars[0].vbuy
10.0
>>> builder.add(Trade("X:a", 7_100_000_000, "1", 11.0, 1.0, 11.0, 1))
<Outcome.REVISION: 2>
>>> revised = builder.close(8).revisions[0]
>>> revised.second, revised.revision, revised.open, revised.vbuy
(7, 1, 11.0, 21.0)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from squeezeflow_plugin.bars.folding import OpenBlocks
from squeezeflow_plugin.bars.held import HeldSeconds
from squeezeflow_plugin.bars.outcomes import Counts, Outcome, Refusals, Refused
from squeezeflow_plugin.bars.ticks import (
    EMPTY,
    Row,
    Sorted,
    Ticks,
    bar_of,
    has_less,
    row_of,
    same_bar,
    ticks_of,
    unique,
    unpack,
)
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, Trade

_NEVER = 1 << 62

MOST_HELD = 100_000
"""Trades in quarantine; what comes beyond is refused."""
Key = tuple[int, str]
"""(second, market)."""


class Closed(NamedTuple):
    """A closed second's bars by market, and whole bars of earlier seconds by (second, market)."""

    bars: tuple[Bar, ...]
    revisions: tuple[Bar, ...]


class BarBuilder:
    """See the module's text. Before ``begin`` every trade waits."""

    def __init__(self, horizon_s: int = 600) -> None:
        self.horizon_s = horizon_s
        self._closed = -_NEVER
        self._floor = -_NEVER
        self._until = self._hold_until = _NEVER
        self._quarantine: list[Trade] = []
        self._arrived: list[Trade] = []  # not looked at yet: many at once cost half of one after the other
        self._open: dict[int, dict[str, list[Trade]]] = {}
        self._blocks = OpenBlocks()
        self._held = HeldSeconds(horizon_s)
        self._late: dict[Key, list[Trade]] = {}
        self._reissue: set[Key] = set()
        self._frozen: dict[Key, Bar] = {}  # as given out, with trades that are no longer on record
        self.lacking: set[Key] = set()
        """Restored bars that trades came for, which may or may not be among those they count."""
        self._newest: dict[str, Trade] = {}
        self._refusals = Refusals()
        self._below_floor = Outcome.EARLIER
        self._totals = dict.fromkeys(("new", "late", "duplicates", "conflicts", "quarantined"), 0)

    @property
    def closed(self) -> int | None:
        """The last closed second; None before ``begin``."""
        return None if self._closed == -_NEVER else self._closed

    @property
    def counts(self) -> Counts:
        self._sort_in()
        totals = self._totals | self._refusals.totals
        received = totals["new"] + totals["late"] + sum(self._refusals.totals.values())
        received += sum(len(trades) for markets in self._open.values() for trades in markets.values())
        received += self._blocks.count() + len(self._quarantine)
        return Counts(received, **{name: totals[name] for name in Counts.__struct_fields__[1:]})

    def begin(self, second: int) -> None:
        """``second`` is the first to be closed; what waits for an earlier one is refused as ``EARLIER``."""
        if self._closed != -_NEVER:
            raise ValueError(f"the builder began already and has closed second {self._closed}")
        self._sort_in()
        self._spread(self._blocks.seconds())
        self._floor = second
        self._closed = second - 1
        self._refuse_waiting([each for each in self._open if each < second], self._below_floor)

    def accept_until(self, second: int, hold_until: int | None = None) -> None:
        """Trades of a later second are in quarantine until it comes; ``AHEAD`` beyond ``hold_until``.

        Without that none are held. It is the same for those that wait already.
        """
        self._sort_in()
        self._spread([each for each in self._blocks.seconds() if each > second])
        self._until, self._hold_until = second, second if hold_until is None else hold_until
        held, self._quarantine = self._quarantine, []
        for trade in held:
            if trade.second <= second:
                self._open.setdefault(trade.second, {}).setdefault(trade.market, []).append(trade)
            else:
                self._hold_back(trade)
        for each in sorted(each for each in self._open if each > second):
            for trades in self._open.pop(each).values():
                for trade in trades:
                    self._totals["quarantined"] += each <= self._hold_until
                    self._hold_back(trade)

    def _hold_back(self, trade: Trade) -> Outcome:
        """A trade of a second that is not accepted yet."""
        if trade.second > self._hold_until or len(self._quarantine) >= MOST_HELD:
            return self._refuse(trade, Outcome.AHEAD)
        self._quarantine.append(trade)
        return Outcome.HELD

    def takes(self, trade: Trade) -> bool:
        """Whether ``add`` would merge the trade."""
        second = trade.exchange_ns // NS_PER_SECOND
        oldest = max(self._floor, self._closed - self.horizon_s + 1)
        return oldest <= second <= self._until

    def add(self, trade: Trade) -> Outcome:
        self._sort_in()
        second = trade.exchange_ns // NS_PER_SECOND
        if trade.received_ns:
            self._take_newest_of_blocks()
            self._newest[trade.market] = trade
        if self._closed < second <= self._until:
            self._open.setdefault(second, {}).setdefault(trade.market, []).append(trade)
            return Outcome.NEW
        return self._add_unusual(trade, second)

    def add_all(self, trades: Iterable[Trade]) -> None:
        """``add`` each, without the answers; what becomes of them is seen to when something is asked."""
        self._arrived += trades

    def add_block(self, block: TradeBlock) -> None:
        """``add_all`` of its trades; those of open seconds are not made values of."""
        self._sort_in()  # what came before
        for trade in self._blocks.add(block, self._closed, self._until):
            self._add_unusual(trade, trade.second)

    def _spread(self, seconds: Iterable[int]) -> None:
        """Make values of what waits in blocks for these seconds."""
        for second in seconds:
            opened = self._open.setdefault(second, {})
            for trade in self._blocks.take(second):
                opened.setdefault(trade.market, []).append(trade)

    def _sort_in(self) -> None:
        """Put what has arrived into its seconds."""
        if not self._arrived:
            return
        self._take_newest_of_blocks()
        arrived, self._arrived = self._arrived, []
        closed, until, newest = self._closed, self._until, self._newest
        first_ns = stop_ns = 0
        opened: dict[str, list[Trade]] = {}
        for trade in arrived:
            market, exchange_ns = trade.market, trade.exchange_ns
            newest[market] = trade
            if not first_ns <= exchange_ns < stop_ns:
                second = exchange_ns // NS_PER_SECOND
                if not closed < second <= until:
                    self._add_unusual(trade, second)
                    continue
                opened = self._open.setdefault(second, {})
                first_ns = second * NS_PER_SECOND
                stop_ns = first_ns + NS_PER_SECOND
            if market in opened:
                opened[market].append(trade)
            else:
                opened[market] = [trade]

    def _add_unusual(self, trade: Trade, second: int) -> Outcome:
        if second > self._until:
            self._totals["quarantined"] += second <= self._hold_until
            return self._hold_back(trade)
        if second < self._floor:
            return self._refuse(trade, self._below_floor)
        if second <= self._closed - self.horizon_s:
            return self._refuse(trade, Outcome.BEYOND_HORIZON)
        key = (second, trade.market)
        self._late.setdefault(key, []).append(trade)
        self._totals["late"] += 1
        return Outcome.REVISION

    def _refuse_waiting(self, seconds: list[int], outcome: Outcome) -> None:
        for second in sorted(seconds):
            for trades in self._open.pop(second).values():
                for trade in trades:
                    self._refuse(trade, outcome)

    def _refuse(self, trade: Trade, outcome: Outcome) -> Outcome:
        self._refusals.note(trade, outcome)
        return outcome

    def take_newest(self) -> tuple[Trade, ...]:
        """The last delivery of each market since the last call, whatever became of it."""
        self._sort_in()
        self._take_newest_of_blocks()
        taken = tuple(self._newest.values())
        self._newest.clear()
        return taken

    def _take_newest_of_blocks(self) -> None:
        """To be called before anything that came after those blocks is taken."""
        for trade in self._blocks.take_newest():
            self._newest[trade.market] = trade

    def take_refused(self) -> tuple[Refused, ...]:
        """What was not merged since the last call, one entry a market and reason."""
        self._sort_in()
        return self._refusals.take()

    def pending(self) -> tuple[Bar, ...]:
        """The bars of the seconds still open as they stand now, by second and market; nothing changes."""
        self._sort_in()
        self._spread(self._blocks.seconds())
        return tuple(
            bar_of(
                market,
                second,
                ticks_of([trade for trade in trades if not trade.liquidation]).ticks,
                ticks_of([trade for trade in trades if trade.liquidation]).ticks,
            )
            for second in sorted(self._open)
            for market, trades in sorted(self._open[second].items())
        )

    def close(self, second: int) -> Closed:
        """Close ``second``, which must follow the last closed one; ValueError otherwise."""
        if second != self._closed + 1:
            raise ValueError(f"second {second} does not follow {self.closed}, the last one closed")
        self._sort_in()
        revisions = tuple(self._revise(key) for key in sorted(self._late.keys() | self._reissue))
        self._late.clear()
        self._reissue.clear()
        bars = self._seal_all(second, self._open.pop(second, {}))
        self._closed = second
        self._held.age(second)
        if self._frozen:
            oldest = second - self.horizon_s
            self._frozen = {key: bar for key, bar in self._frozen.items() if key[0] > oldest}
        return Closed(bars, tuple(bar for bar in revisions if bar is not None))

    def _seal_all(self, second: int, opened: dict[str, list[Trade]]) -> tuple[Bar, ...]:
        """Every market's bar of the second, by market."""
        found, unusual = self._blocks.fold(second, opened)
        for trade in unusual:
            opened.setdefault(trade.market, []).append(trade)
        bars = [self._seal(second, market, trades) for market, trades in opened.items()]
        for bar, packed, trades in found:
            self._totals["new"] += trades
            self._held.keep_packed(second, bar.market, packed)
            bars.append(bar)
        return tuple(sorted(bars, key=lambda bar: bar.market))

    def _seal(self, second: int, market: str, trades: list[Trade]) -> Bar:
        self._totals["new"] += len(trades)
        liquidations = EMPTY
        if True in [trade.liquidation for trade in trades]:
            liquidations = self._count(ticks_of([trade for trade in trades if trade.liquidation]))
            trades = [trade for trade in trades if not trade.liquidation]
        ticks = self._count(ticks_of(trades)) if trades else EMPTY
        self._held.keep(second, market, ticks, liquidations, 0)
        return bar_of(market, second, ticks, liquidations)

    def _revise(self, key: Key) -> Bar | None:
        """The whole bar again; None where everything late was a repeat."""
        second, market = key
        late = self._late.get(key, ())
        held = self._held.get(second, market)
        trades = self._merge(held.trades, [row_of(each) for each in late if not each.liquidation])
        liquidations = self._merge(held.liquidations, [row_of(each) for each in late if each.liquidation])
        if trades is None and liquidations is None and key not in self._reissue:
            return None
        ticks = unpack(held.trades) if trades is None else trades
        forced = unpack(held.liquidations) if liquidations is None else liquidations
        bar = bar_of(market, second, ticks, forced, held.revision + 1)
        self._held.keep(second, market, ticks, forced, bar.revision)
        return self._thaw(key, bar) if key in self._frozen else bar

    def _thaw(self, key: Key, bar: Bar) -> Bar | None:
        """The bar, once it has all that the restored one counts; until then that one stays as it is.

        Liquidations that are on record nowhere stay in it: no exchange gives them again.
        """
        given = self._frozen[key]
        lbuy, lsell = max(bar.lbuy, given.lbuy), max(bar.lsell, given.lsell)
        whole = replace(bar, lbuy=lbuy, lsell=lsell, revision=given.revision + 1)
        if has_less(whole, given):
            self._held.set_revision(*key, given.revision)
            self.lacking.add(key)
            return None
        self.lacking.discard(key)
        is_new = not same_bar(whole, given)
        if (bar.lbuy, bar.lsell) == (lbuy, lsell):
            del self._frozen[key]
        elif is_new:
            self._frozen[key] = whole
        self._held.set_revision(*key, given.revision + is_new)
        return whole if is_new else None

    def _merge(self, held: bytes | None, late: list[Row]) -> Ticks | None:
        """The set with the late rows in it; None where that changes nothing."""
        if not late:
            return None
        before = unpack(held)
        merged = self._count(unique(before.rows() + late))
        return None if merged == before else merged

    def _count(self, found: Sorted) -> Ticks:
        self._totals["duplicates"] += found.duplicates
        self._totals["conflicts"] += found.conflicts
        return found.ticks

    def restore(self, first: int, last: int, known: Iterable[Bar], trades: Iterable[Trade]) -> None:
        """Take up the work of a builder that had closed the seconds ``first`` to ``last``.

        ``known`` are the bars it had given out for them, latest revisions; ``trades`` every trade still on
        record from ``first`` on, in any order. A bar that its trades now exceed is given out again with the
        next close. A bar that they no longer reach - some are lost - stays as it is until what comes for it
        reaches it, and is ``lacking`` from the first that comes on.
        """
        self._below_floor = Outcome.BEYOND_HORIZON  # there were seconds before
        self.begin(first)
        built: dict[int, dict[str, Bar]] = {}
        newest = first
        for trade in trades:
            second = trade.exchange_ns // NS_PER_SECOND
            if second < first:
                continue
            if newest < second <= last:
                # Close as time goes on, so that the whole horizon is never held unpacked.
                self._rebuild(second - 2, built)
                newest = second
            self.add(trade)
        self._rebuild(last, built)
        for second, market in sorted(self._late):
            bar = self._revise((second, market))
            if bar is not None:
                built.setdefault(second, {})[market] = bar
        self._late.clear()
        self._compare(built, known)

    def _rebuild(self, until: int, built: dict[int, dict[str, Bar]]) -> None:
        for second in range(self._closed + 1, until + 1):
            closed = self.close(second)
            for bar in (*closed.bars, *closed.revisions):
                built.setdefault(bar.second, {})[bar.market] = bar
            built.pop(second - self.horizon_s, None)

    def _compare(self, built: dict[int, dict[str, Bar]], known: Iterable[Bar]) -> None:
        """Go on from the revisions given out; give out again what has more, freeze what has less."""
        unknown = {(second, market) for second, bars in built.items() for market in bars}
        for given in known:
            key = (given.second, given.market)
            if given.second <= self._closed - self.horizon_s:
                continue
            unknown.discard(key)
            bar = built.get(given.second, {}).get(given.market)
            if bar is None or has_less(bar, given):
                self._frozen[key] = given
                continue
            self._held.set_revision(*key, given.revision)
            if not same_bar(bar, given):
                self._reissue.add(key)
        for key in unknown:
            self._held.set_revision(*key, -1)
        self._reissue |= unknown
