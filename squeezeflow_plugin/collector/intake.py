"""Where the connections' trades go: into the journal first, then to the closer."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.errors import JournalError
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

_LOG = logging.getLogger(__name__)
_SAY_AGAIN_NS = 60 * NS_PER_SECOND
_REASONS_NAMED = 100
_EXCERPT = 200
_WAITING = 200_000  # some 60 MB, and minutes of a busy market
_AT_ONCE = 2000  # a millisecond or two of the event loop


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
        try:
            self._journal.append(trades)
        except JournalError as error:
            self._waiting.extend(trades)
            self._note_failure(error, trades[-1].received_ns)
        else:
            self._make_up(trades[-1].received_ns)
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
