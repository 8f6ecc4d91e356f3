"""Where the connections' trades go: into the journal first, then to the closer."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.errors import JournalError
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

_LOG = logging.getLogger(__name__)
_SAY_AGAIN_NS = 60 * NS_PER_SECOND
_REASONS_NAMED = 100
_EXCERPT = 200


class Intake:
    """The sink of every connection. A journal that fails is named each minute; the bars go on without it."""

    def __init__(self, closer: Closer, journal: TradeJournal, tally: Tally) -> None:
        self._closer = closer
        self._journal = journal
        self._tally = tally
        self._said_ns = -_SAY_AGAIN_NS

    def trades(self, trades: Sequence[Trade]) -> None:
        """Journal, then count and hand on."""
        try:
            self._journal.append(trades)
        except JournalError as error:
            self._tally.journal_failures += 1
            self._say(error, trades[-1].received_ns)
        self._tally.trades_received += len(trades)
        self._closer.on_trades(trades)

    def live(self, markets: Sequence[str], at_ns: int) -> None:
        """The exchange acknowledged the markets."""
        _LOG.info("feed: live: %s", " ".join(markets))
        self._closer.on_live(markets, at_ns)

    def down(self, markets: Sequence[str], at_ns: int, reason: str) -> None:
        """The markets are no longer complete; their connection comes back by itself."""
        _LOG.info("feed: down: %s: %s", " ".join(markets), reason)
        self._closer.on_down(markets, at_ns)

    def rejected(self, exchange: str, reason: str, frame: str | bytes) -> None:
        """A frame or a part of it cannot be read: counted; the first of each reason is shown."""
        known = self._tally.rejected
        key = f"{exchange}: {reason}"
        if key not in known and len(known) >= _REASONS_NAMED:
            key = f"{exchange}: other"
        if key not in known:
            _LOG.warning("feed: rejected: %s: %r", key, frame[:_EXCERPT])
        known[key] += 1

    def _say(self, error: JournalError, now_ns: int) -> None:
        if now_ns - self._said_ns >= _SAY_AGAIN_NS:
            self._said_ns = now_ns
            _LOG.error("journal: %s; %d failures so far", error, self._tally.journal_failures)
