"""The bar store in InfluxDB, in aggr-server's schema (see ``influx_schema``).

Differences from the embedded store, which is the truth that is shipped here: there are no transactions, so a
call that fails for want of the server may have stored some of its records, each whole, and the same call
again stores the rest; what is older than the retention is gone; and bars that an aggr-server has written have
no closing records, so they can be read, but not *as known*, nor followed live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from squeezeflow_plugin.bars.interest import KnownTicker
from squeezeflow_plugin.clock import Clock, SystemClock
from squeezeflow_plugin.errors import StoreCorruptError, StoreError
from squeezeflow_plugin.market import ClosingRecord, Instrument, Interval
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.influx_append import InfluxAppender
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_read import InfluxReader
from squeezeflow_plugin.store.influx_resample import resample
from squeezeflow_plugin.store.influx_schema import (
    CLOSINGS,
    INSTRUMENTS,
    META_POLICY,
    clipped,
    literal,
    quoted,
    select,
    tag,
    text,
)
from squeezeflow_plugin.store.influx_setup import set_up
from squeezeflow_plugin.store.influx_views import bars_of, coverage_of


class InfluxBarStore:
    """Keeps the ``BarStore`` contract in the InfluxDB database that the settings name.

    Nothing is asked before the first use. Every call raises StoreUnavailableError where the server cannot be
    reached, is too slow or refuses the credentials, and StoreMissingError where the database or its policies
    are not there (``squeezeflow db setup`` makes them) or hold bars of another length. ``verify`` off trusts
    acknowledgements instead of reading back what was written; ``clock`` says which records are recent. One
    thread at a time.
    """

    def __init__(
        self,
        settings: Settings,
        readonly: bool = False,
        verify: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._readonly = readonly
        self._clock = clock or SystemClock()
        self._server = InfluxServer(settings)
        self._verify = verify
        self._newest: dict[str, int] = {}
        self._resampled: int | None = None
        self._forget()

    @property
    def reader(self) -> InfluxReader:
        """The rows as they are stored, for whoever compares or resamples them."""
        self._check()
        return self._reader

    def append(self, records: Iterable[ClosingRecord]) -> None:
        """As the contract says, without transactions: see the module's docstring.

        Raises StoreUnavailableError also where the server has acknowledged what it does not hold.
        """
        self._check_writable()
        self._check()
        self._appender.append(records)

    def resample(self, records: Iterable[ClosingRecord]) -> None:
        """Make the higher bars again that these stored records have completed or changed.

        The bar in which the records before them ended is among them: nothing may have come to end it since.
        """
        self._check_writable()
        own: list[int] = []
        touched: set[int] = set()
        for record in records:
            own.append(record.second)
            touched.add(record.second)
            touched.update(bar.second for bar in record.revisions)
        if not own:
            return
        before = self._resampled
        if before != min(own) - 1:
            before = self._last_second(f"time < {clipped(min(own))}s")
        if before is not None:
            touched.add(before)
        resample(self._server, touched, max(own))
        self._resampled = max(own)

    def set_up(self, shorten: bool = False) -> list[str]:
        """Make the database, policies and continuous queries that are missing; see ``influx_setup``."""
        self._check_writable()
        self._forget()
        return set_up(self._server, self._settings, shorten)

    def last_second(self, collector: str) -> int | None:
        """As the contract says; asks only for what is newer than the last answer, so polling is cheap."""
        self._check()
        since = self._newest.get(collector)
        newest = self._last_of(collector, since)
        if newest is None and since is not None:  # the server was emptied or set back
            self._forget()
            newest = self._last_of(collector, None)
        if newest is None:
            self._newest.pop(collector, None)
        else:
            self._newest[collector] = newest
        return newest

    def records(
        self, start: int, stop: int, collectors: Iterable[str] | None = None
    ) -> Iterator[ClosingRecord]:
        """As the contract says; raises StoreIncompleteError where a record's bars are not all there."""
        self._check()
        return self._reader.records(start, stop, collectors)

    def bars(
        self,
        start: int,
        stop: int,
        markets: Iterable[str] | None = None,
        known_at: int | None = None,
    ) -> BarColumns:
        """As the contract says; with ``known_at`` raises StoreIncompleteError where bars without a closing
        record (an aggr-server's) lie in the span, because nothing tells when these became known.
        """
        self._check()
        return bars_of(self._reader, start, stop, markets, known_at)

    def coverage(
        self,
        start: int,
        stop: int,
        markets: Iterable[str] | None = None,
        known_at: int | None = None,
    ) -> tuple[Interval, ...]:
        """As the contract says."""
        self._check()
        return coverage_of(self._reader, start, stop, markets, known_at)

    def tickers(self, start: int, stop: int, markets: Iterable[str] | None = None) -> tuple[KnownTicker, ...]:
        """As the contract says."""
        self._check()
        wanted = None if markets is None else frozenset(markets)
        closings = sorted(self._reader.tickers(start, stop), key=lambda each: (each.second, each.collector))
        return tuple(
            (closing.second, ticker)
            for closing in closings
            for ticker in closing.known_tickers()
            if wanted is None or ticker.market in wanted
        )

    def collectors(self) -> tuple[str, ...]:
        """As the contract says."""
        self._check()
        source = self._reader.source(CLOSINGS)
        values = self._reader.column(f"SHOW TAG VALUES FROM {source} WITH KEY = collector", "value")
        return tuple(sorted(set(values)))

    def span(self) -> tuple[int, int] | None:
        """As the contract says."""
        self._check()
        source = self._reader.source(CLOSINGS)
        first, last = (
            self._reader.column(select(f"{end}(closed_ns)", source, "time >= 0"), "time")
            for end in ("first", "last")
        )
        return (first[0] // 1000, last[0] // 1000 + 1) if first else None

    def put_instruments(self, instruments: Iterable[Instrument]) -> None:
        """As the contract says."""
        self._check_writable()
        self._check()
        lines = [
            f"{INSTRUMENTS},market={tag(one.market)} description={text(msgspec.json.encode(one).decode())} 0"
            for one in instruments
        ]
        if lines:
            self._server.write(META_POLICY, lines)

    def instruments(self) -> tuple[Instrument, ...]:
        """As the contract says."""
        self._check()
        source = self._reader.source(INSTRUMENTS, META_POLICY)
        found = self._reader.column(select("description", source, "time = 0"), "description")
        try:
            instruments = [msgspec.json.decode(one, type=Instrument) for one in found]
        except msgspec.MsgspecError as error:
            raise StoreCorruptError(
                f"an instrument in InfluxDB cannot be read: {error}; it is left as it is"
            ) from error
        return tuple(sorted(instruments, key=lambda one: one.market))

    def close(self) -> None:
        """Give up the connections; what was acknowledged is kept."""
        self._server.close()

    def _last_of(self, collector: str, since: int | None) -> int | None:
        return self._last_second(
            f"{quoted('collector')} = {literal(collector)} AND time >= {clipped(since or 0)}s"
        )

    def _last_second(self, condition: str) -> int | None:
        found = self._reader.column(
            select("last(closed_ns)", self._reader.source(CLOSINGS), condition), "time"
        )
        return max(found) // 1000 if found else None

    def _forget(self) -> None:
        """What was learnt of the database may no longer hold."""
        self._is_checked = False
        self._newest.clear()
        self._resampled = None
        self._reader = InfluxReader(self._server, self._clock)
        self._appender = InfluxAppender(self._reader, self._verify)

    def _check(self) -> None:
        if not self._is_checked:
            self._reader.require_policy()
            self._is_checked = True

    def _check_writable(self) -> None:
        if self._readonly:
            raise StoreError(f"InfluxDB {self._server.url} is not open for writing; nothing was stored")
