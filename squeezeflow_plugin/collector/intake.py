"""Where the connections' trades go: into the journal first, then to the closer."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice

from squeezeflow_plugin.bars import folding, runs
from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.errors import JournalError
from squeezeflow_plugin.feeds.adapter import LeftOut
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.feeds.recovery import Gap, Recovered
from squeezeflow_plugin.journal import packing
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

_LOG = logging.getLogger(__name__)
_NS_PER_MS = 1_000_000
_SAY_AGAIN_NS = 60 * NS_PER_SECOND
_REASONS_NAMED = 100
_EXCERPT = 200
_WAITING = 200_000  # some 60 MB, and minutes of a busy market
_AT_ONCE = 2000  # a millisecond or two of the event loop


def prepare() -> None:
    """Load what is compiled for blocks of trades, or compile it; the first block would wait for it."""
    packing.prepare()
    runs.prepare()
    folding.prepare()


class Intake:
    """The sink of every connection. A journal that fails is named each minute; the bars go on without it.

    What it did not take waits in memory and follows once it takes trades again: a second whose trades are
    not all on record could not be revised after a restart. At most ``waiting`` trades; the oldest go first.
    """

    def __init__(self, closer: Closer, journal: TradeJournal, tally: Tally, waiting: int = _WAITING) -> None:
        self._closer = closer
        self._journal = journal
        self._tally = tally
        self._waiting: deque[Trade] = deque(maxlen=waiting)
        self._said_ns = -_SAY_AGAIN_NS

    def trades(self, trades: Sequence[Trade]) -> None:
        """Journal, then count and hand on."""
        self._keep(trades, trades[-1].received_ns)
        self._tally.arrived(trades)
        self._closer.on_trades(trades)

    def block(self, block: TradeBlock) -> None:
        """The same for trades that are columns."""
        now_ns = block.received_ns
        try:
            self._journal.append_block(block)
        except JournalError as error:
            self._miss(block.trades(), error, now_ns)
        else:
            self._make_up(now_ns)
        self._tally.arrived_block(block)
        self._closer.on_block(block)

    def closed(self, second: int, now_ns: int) -> None:
        """A second is closed with what came before; a journal that fails leaves that unsaid."""
        try:
            self._journal.mark(second)
        except JournalError as error:
            self._note_failure(error, now_ns)

    def left_out(self, items: Sequence[LeftOut]) -> None:
        """Trades that are not counted by design."""
        for item in items:
            self._closer.on_left_out(item.market, item.trade_id)

    def live(self, markets: Sequence[str], at_ns: int) -> None:
        """The exchange acknowledged the markets."""
        _LOG.info("feed: live: %s", " ".join(markets))
        self._closer.on_live(markets, at_ns)

    def down(self, markets: Sequence[str], at_ns: int, reason: str) -> None:
        """The markets are no longer complete; their connection comes back by itself."""
        _LOG.info("feed: down: %s: %s", " ".join(markets), reason)
        self._closer.on_down(markets, at_ns)

    def unread(self, markets: Sequence[str], at_ns: int) -> None:
        """What came cannot be read and may have been trades."""
        self._closer.on_unread(markets, at_ns)

    def rejected(self, exchange: str, reason: str, frame: str | bytes) -> None:
        """A frame or a part of it cannot be read: counted; the first of each reason is shown."""
        known = self._tally.rejected
        key = f"{exchange}: {reason}"
        if key not in known and len(known) >= _REASONS_NAMED:
            key = f"{exchange}: other"
        if key not in known:
            _LOG.warning("feed: rejected: %s: %r", key, frame[:_EXCERPT])
        known[key] += 1

    def due(self, exchange: str, now_ns: int) -> tuple[Gap, ...]:
        """What to ask the exchange for now."""
        return self._closer.watch.due(now_ns, exchange)

    def recovered(self, gap: Gap, page: Recovered, asked_ns: int) -> bool:
        """Take what an exchange answered; whether that shows that the market's stream is dead."""
        self._closer.watch.show(gap, page.trades)
        wanted = self._closer.watch.wants(gap, page.trades)
        is_dead = self._closer.is_unheard(gap, wanted, asked_ns)
        if wanted:
            self._keep(wanted, asked_ns)
            self._tally.trades_recovered += self._closer.on_recovered(wanted)
        for trade_id in page.left_out:
            self._closer.on_left_out(gap.market, trade_id)
        return is_dead

    def answered(self, gap: Gap, complete: bool, now_ns: int) -> None:
        """Everything the exchange gave for the gap has been taken."""
        self._closer.on_answered(gap, complete, now_ns)

    def postpone(self, gap: Gap, until_ns: int) -> None:
        """The exchange could not be asked."""
        self._closer.watch.of(gap.market).postpone(gap, until_ns)

    def give_up(self, gap: Gap, reason: str) -> None:
        """The exchange cannot be asked at all."""
        self._closer.watch.of(gap.market).give_up(gap, reason)

    def name_lost(self, exchange: str | None = None) -> None:
        """Say which gaps, or that exchange's, stay holes."""
        for lost in self._closer.watch.take_lost(exchange):
            self._tally.gaps_lost += 1
            self._tally.trades_missing += lost.trades
            gap = lost.gap
            _LOG.warning(
                "hole: %s: trades between %s (%d ms) and %s (%d ms) are missing: %s",
                gap.market,
                gap.after_id,
                gap.after_ns // _NS_PER_MS,
                gap.before_id,
                gap.before_ns // _NS_PER_MS,
                lost.reason,
            )

    def _keep(self, trades: Sequence[Trade], now_ns: int) -> None:
        try:
            self._journal.append(trades)
        except JournalError as error:
            self._miss(trades, error, now_ns)
        else:
            self._make_up(now_ns)

    def _miss(self, trades: Sequence[Trade], error: JournalError, now_ns: int) -> None:
        self._waiting.extend(trades)
        self._note_failure(error, now_ns)

    def _make_up(self, now_ns: int) -> None:
        """The journal works: hand it some of what it has not taken before."""
        missed = tuple(islice(self._waiting, _AT_ONCE))
        try:
            self._journal.append(missed)
        except JournalError as error:
            self._note_failure(error, now_ns)
            return
        for _ in missed:
            self._waiting.popleft()
        if missed and not self._waiting:
            _LOG.warning("journal: has every trade again that is still at hand")

    def _note_failure(self, error: JournalError, now_ns: int) -> None:
        self._tally.journal_failures += 1
        if now_ns - self._said_ns >= _SAY_AGAIN_NS:
            self._said_ns = now_ns
            _LOG.error(
                "journal: %s; %d failures so far, %d trades wait for it",
                error,
                self._tally.journal_failures,
                len(self._waiting),
            )
