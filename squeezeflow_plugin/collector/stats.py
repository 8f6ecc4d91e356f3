"""What the collector counted, as one small file for whoever watches it."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from squeezeflow_plugin.bars.outcomes import Counts
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from squeezeflow_plugin.timings import Timings

_DELAYS = 60
_LAGS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_WRITES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the start of the process, and the state now.

    ``trades_received`` by the connections (``liquidations`` of them by exchange, ``received`` all of them),
    ``trades_recovered`` from REST answers, ``gaps_lost`` those that nobody could fill and ``trades_missing``
    how many trades they lack as far as ids say; ``reconnects`` by what ended the connection before in
    ``reconnect_reasons``; ``bars`` and ``revisions`` of closed records; ``late`` trades that came after their
    second's close, ``duplicates`` repeated deliveries, ``quarantined`` trades that were dated ahead and
    waited for their second, ``beyond_horizon`` and ``ahead`` trades that were not merged; ``rejected``
    unreadable frames by reason; ``missing_exchanges`` have not said what their markets are and are asked
    again.
    ``closing_delay_ms`` are the median and the largest of the last minute's time from a second's end in
    market time to its stored record; ``rate_limited`` answers 429 and 418 by exchange, ``interest_ns`` the
    exchange's time of each market's newest open interest; ``offsets_ms`` each exchange's receive minus
    exchange time at its smallest, by the machine's wall clock as it stands now, ``skew_ms`` their median.
    """

    collector: str
    last_second: int | None
    markets: int
    covered: int
    trades_received: int
    bars: int
    revisions: int
    late: int
    duplicates: int
    conflicts: int
    beyond_horizon: int
    ahead: int
    rejected_frames: int
    rejected: dict[str, int]
    reconnects: int
    rate_limited: dict[str, int]
    interest_ns: dict[str, int]
    quarantined: int = 0
    trades_recovered: int = 0
    gaps_lost: int = 0
    trades_missing: int = 0
    received: dict[str, int] = {}
    liquidations: dict[str, int] = {}
    reconnect_reasons: dict[str, int] = {}
    missing_exchanges: tuple[str, ...] = ()
    pending_records: int
    journal_failures: int
    store_failures: int
    closing_delay_ms: tuple[float, float] | None
    offsets_ms: dict[str, float]
    skew_ms: float | None


class Tally:
    """The running counts behind ``Stats``; only the event loop touches them.

    ``lags`` by exchange are the times from a trade to its receipt by this machine's clock (0 where that is
    behind), of the last trade of each frame or block; ``writes`` those that the store took for a batch.
    """

    def __init__(self) -> None:
        self.trades_recovered = 0
        self.trades_missing = 0
        self.gaps_lost = 0
        self.received: Counter[str] = Counter()
        self.liquidations: Counter[str] = Counter()
        self.lags: defaultdict[str, Timings] = defaultdict(lambda: Timings(_LAGS_S))
        self.writes = Timings(_WRITES_S)
        self.records = 0
        self.bars = 0
        self.revisions = 0
        self.covered = 0
        self.missing_exchanges: tuple[str, ...] = ()
        self.journal_failures = 0
        self.store_failures = 0
        self.rejected: Counter[str] = Counter()
        self.rate_limited: Counter[str] = Counter()
        self.interest_ns: dict[str, int] = {}
        self._delays_ms: deque[float] = deque(maxlen=_DELAYS)

    @property
    def trades_received(self) -> int:
        """Of all exchanges."""
        return self.received.total()

    def arrived(self, trades: Sequence[Trade]) -> None:
        """The trades of one frame, which is never empty, came."""
        newest = trades[-1]
        exchange = newest.market.partition(":")[0]
        self.received[exchange] += len(trades)
        if liquidations := sum(trade.liquidation for trade in trades):
            self.liquidations[exchange] += liquidations
        self._note_lag(exchange, newest.received_ns - newest.exchange_ns)

    def arrived_block(self, block: TradeBlock) -> None:
        """The same for a block, none of whose trades is a liquidation."""
        time_ns, market, _, received_ns, *_ = block.ints[-1].tolist()
        exchange = block.markets[market].partition(":")[0]
        self.received[exchange] += len(block.ints)
        self._note_lag(exchange, received_ns - time_ns)

    def _note_lag(self, exchange: str, lag_ns: int) -> None:
        self.lags[exchange].note(max(lag_ns, 0) / NS_PER_SECOND)

    def stored(self, delay_ms: float) -> None:
        """A record is stored, that long after its second's end in market time."""
        self._delays_ms.append(delay_ms)

    def closing_delay_ms(self) -> tuple[float, float] | None:
        """Median and largest of the last minute; None before the first."""
        if not self._delays_ms:
            return None
        return round(statistics.median(self._delays_ms), 1), round(max(self._delays_ms), 1)

    def snapshot(
        self,
        *,
        collector: str,
        last_second: int | None,
        markets: int,
        counts: Counts,
        reconnects: Mapping[str, int],
        pending_records: int,
        offsets_ns: dict[str, int],
        skew_ns: int | None,
    ) -> Stats:
        """The totals together with what others know; ``reconnects`` by reason."""
        return Stats(
            collector=collector,
            last_second=last_second,
            markets=markets,
            covered=self.covered,
            trades_received=self.trades_received,
            bars=self.bars,
            revisions=self.revisions,
            late=counts.late,
            duplicates=counts.duplicates,
            conflicts=counts.conflicts,
            beyond_horizon=counts.beyond_horizon,
            ahead=counts.ahead,
            rejected_frames=self.rejected.total(),
            rejected=dict(self.rejected.most_common()),
            reconnects=sum(reconnects.values()),
            reconnect_reasons=dict(reconnects),
            received=dict(self.received),
            liquidations=dict(self.liquidations),
            trades_missing=self.trades_missing,
            rate_limited=dict(self.rate_limited),
            interest_ns=dict(self.interest_ns),
            quarantined=counts.quarantined,
            trades_recovered=self.trades_recovered,
            gaps_lost=self.gaps_lost,
            missing_exchanges=self.missing_exchanges,
            pending_records=pending_records,
            journal_failures=self.journal_failures,
            store_failures=self.store_failures,
            closing_delay_ms=self.closing_delay_ms(),
            offsets_ms={name: offset / 1e6 for name, offset in offsets_ns.items()},
            skew_ms=None if skew_ns is None else skew_ns / 1e6,
        )


@dataclass(frozen=True)
class Counted:
    """What the collector counted, for its outlets: ``stats`` makes a snapshot, the rest is the tally's."""

    stats: Callable[[], Stats]
    lags: Mapping[str, Timings]
    writes: Timings
