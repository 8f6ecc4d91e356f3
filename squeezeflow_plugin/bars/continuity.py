"""All markets' gaps: every trade passes here, and every close asks which seconds are in doubt.

The usual trade - the id after the last one, nothing pending - costs a look-up, a number read and an addition.

>>> watch = ContinuityWatch({"X:a": Continuity(sequence=True)})
>>> a, b = (Trade("X:a", n * NS_PER_SECOND, str(n), 1.0, 1.0, 1.0, 1) for n in (4, 7))
>>> watch.add((a, b))
>>> watch.due(now_ns=2 * NS_PER_SECOND)
(Gap(market='X:a', after_id='4', after_ns=4000000000, before_id='7', before_ns=7000000000),)
>>> watch.settle(second=8, now_ns=2 * NS_PER_SECOND)
(Interval(market='X:a', start=4, stop=8, complete=False),)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np

from squeezeflow_plugin.bars.gaps import MarketGaps
from squeezeflow_plugin.bars.holes import Lost
from squeezeflow_plugin.bars.runs import runs_of
from squeezeflow_plugin.bars.spans import Span
from squeezeflow_plugin.bars.uncovered import Uncovered
from squeezeflow_plugin.feeds.blocks import MARKET, TradeBlock
from squeezeflow_plugin.feeds.recovery import Continuity, Gap
from squeezeflow_plugin.market import NS_PER_SECOND, Interval, Trade


def _always(_trade: Trade) -> bool:
    return True


class ContinuityWatch:
    """Markets that are not named in ``markets`` are none of its business, nor are liquidations."""

    def __init__(self, markets: Mapping[str, Continuity], accepts: Callable[[Trade], bool] = _always) -> None:
        self._markets = {name: MarketGaps(name, kind, accepts) for name, kind in markets.items()}
        self._exchanges: dict[str, list[MarketGaps]] = {}
        for name, gaps in self._markets.items():
            self._exchanges.setdefault(name.partition(":")[0], []).append(gaps)

    def add(self, trades: Iterable[Trade]) -> None:
        """Trades that came by a stream, in the order of receipt."""
        markets = self._markets
        for trade in trades:
            gaps = markets.get(trade.market)
            if gaps is None or trade.liquidation:
                continue
            if gaps.pending is None and gaps.last >= 0:
                try:
                    newest = int(trade.trade_id)
                except ValueError:
                    continue
                if newest - trade.count == gaps.last:
                    gaps.last, gaps.last_id, gaps.last_ns = newest, trade.trade_id, trade.exchange_ns
                    continue
            gaps.take(trade)

    def add_block(self, block: TradeBlock) -> None:
        """The same for columns; only trades of markets where something is unusual become values."""
        markets, names = self._markets, block.markets
        unusual = []
        for market, before, last, last_ns, newest in runs_of(block):
            gaps = markets.get(names[market])
            if gaps is None:
                continue
            if gaps.pending is None and gaps.last >= 0 and before == gaps.last:
                gaps.last, gaps.last_id, gaps.last_ns = last, str(last), last_ns
            elif not gaps.take_block(block, newest):
                unusual.append(market)
        if unusual:
            self.add(block.trades(np.isin(block.ints[:, MARKET], unusual)))

    def wants(self, gap: Gap, trades: Iterable[Trade]) -> list[Trade]:
        """Those of the trades an exchange answered with that are the gap's and not in hand yet."""
        return self._markets[gap.market].wants(gap, [each for each in trades if each.market == gap.market])

    def show(self, gap: Gap, trades: Iterable[Trade]) -> None:
        """An exchange answered with these for that gap, whether they are in hand or not."""
        self._markets[gap.market].show(gap, [trade for trade in trades if trade.market == gap.market])

    def recovered(self, trade: Trade) -> None:
        """A trade that was asked for is merged."""
        self._markets[trade.market].take(trade, recovered=True)

    def leave_out(self, market: str, trade_id: str) -> None:
        """A trade that is not counted by design."""
        if market in self._markets:
            self._markets[market].leave_out(trade_id)

    def live(self, markets: Iterable[str], second: int, now_ns: int) -> None:
        """Trades of these come again, from this second on."""
        for gaps in self._known(markets):
            gaps.live(second, now_ns)

    def down(self, markets: Iterable[str], second: int) -> None:
        """From this second on trades of these may be missed; it may lie back."""
        for gaps in self._known(markets):
            gaps.down(second)

    def is_sequence(self, market: str) -> bool:
        """Whether the market's ids tell which of its trades are missing."""
        return market in self._markets and self._markets[market].continuity.sequence

    def silent(self, markets: Iterable[str], second: int, now_ns: int) -> None:
        """These are connected and quiet for too long."""
        for gaps in self._known(markets):
            gaps.silent(second, now_ns)

    def interrupted(
        self,
        trades: Iterable[Trade],
        later: Iterable[Trade],
        covered: Iterable[Interval],
        since: Mapping[str, int],
        until: int,
    ) -> Iterator[Trade]:
        """Take in, and hand on, an earlier run's trades, in the order of receipt; then nobody listened.

        ``covered`` are the seconds that its records call covered, by market and start, and ``since`` the
        first second of each market on record. ``trades`` came before the last record, ``later`` after it;
        of the former those dated ``until`` or later are in no bar. Where ids are no sequence, the latter say
        nothing about what was missed before them, because that is on no record. What was not covered is
        asked for again.
        """
        spans: dict[str, list[Span]] = {name: [] for name in since if name in self._markets}
        for each in covered:
            if each.market in spans:
                spans[each.market].append((each.start, each.stop))
        uncovered = {name: Uncovered(since[name], each) for name, each in spans.items()}
        for name, missed in uncovered.items():
            self._markets[name].resume(missed)
        for trade in trades:
            if trade.second < until:
                self._remember(trade, uncovered, is_recorded=True)
            yield trade
        for trade in later:
            self._remember(trade, uncovered, is_recorded=False)
            yield trade
        for name, missed in uncovered.items():
            self._markets[name].interrupted(missed)

    def settle(self, second: int, now_ns: int) -> tuple[Interval, ...]:
        """What has changed about the seconds up to ``second``: those now doubted, those doubted no more."""
        changes: list[Interval] = []
        for name, gaps in self._markets.items():
            if gaps.is_troubled:
                doubted, freed = gaps.settle(second, now_ns)
                changes += [Interval(name, *span) for span in freed]
                changes += [Interval(name, *span, complete=False) for span in doubted]
        return tuple(changes)

    def lack(self, keys: Iterable[tuple[int, str]]) -> None:
        """The bars of these seconds and markets, and of no others, may lack trades."""
        for gaps in self._markets.values():
            gaps.lacking = []
        for second, market in sorted(keys):
            if market in self._markets:
                self._markets[market].lacking.append((second, second + 1))

    def due(self, now_ns: int, exchange: str | None = None) -> tuple[Gap, ...]:
        """What to ask the exchanges, or that exchange, for now, by market."""
        asked = self._of(exchange)
        return tuple(gap for gaps in asked if gaps.is_troubled for gap in gaps.due(now_ns))

    def of(self, market: str) -> MarketGaps:
        """One market's gaps."""
        return self._markets[market]

    def expire(self, oldest: int) -> None:
        """Give up gaps of seconds before ``oldest``."""
        for gaps in self._markets.values():
            gaps.expire(oldest)

    def take_lost(self, exchange: str | None = None) -> tuple[Lost, ...]:
        """The gaps, or that exchange's, that were given up since the last call."""
        return tuple(lost for gaps in self._of(exchange) for lost in gaps.take_lost())

    def _remember(self, trade: Trade, uncovered: Mapping[str, Uncovered], *, is_recorded: bool) -> None:
        around = uncovered.get(trade.market)
        if around is None or trade.exchange_ns < around.since * NS_PER_SECOND:
            return
        if self.is_sequence(trade.market):
            self.add((trade,))
        elif is_recorded:
            around.note(trade)

    def _of(self, exchange: str | None) -> Collection[MarketGaps]:
        return self._markets.values() if exchange is None else self._exchanges.get(exchange, ())

    def _known(self, markets: Iterable[str]) -> list[MarketGaps]:
        return [self._markets[name] for name in markets if name in self._markets]
