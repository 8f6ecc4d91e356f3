"""Closing records on their way from the embedded store to InfluxDB, whatever state that one is in.

The embedded store is the spool: nothing is queued in memory, a batch is read from it, written, read back and
only then left behind. Where shipping stands is remembered in a small file, behind rather than ahead of the
truth, because writing a record twice changes nothing. A server that is down, slow, failing, or that has
lost what it acknowledged is tried again from there; one that was emptied or set back is filled from where it
stands. All of it happens on a thread of its own, which the collector only wakes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.collector.sharding import ships
from squeezeflow_plugin.errors import (
    StoreConflictError,
    StoreError,
    StoreIncompleteError,
    StoreLostError,
    StoreMissingError,
)
from squeezeflow_plugin.jsonfile import replace_json
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, Instrument
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

_LOG = logging.getLogger(__name__)
_BATCH_SECONDS = 900
_BATCH_BARS = 20_000
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_LOOK_S = 1.0
_MARGIN_S = 300
_MISMATCHES = (StoreConflictError, StoreIncompleteError, StoreLostError)


class ShippingTarget(Protocol):
    """A store that is shipped to: what of ``InfluxBarStore`` is used here."""

    def set_up(self) -> Sequence[str]: ...
    def put_instruments(self, instruments: Iterable[Instrument]) -> None: ...
    def last_second(self, collector: str) -> int | None: ...
    def append(self, records: Iterable[ClosingRecord]) -> None: ...
    def resample(self, records: Iterable[ClosingRecord]) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class ShippingStatus:
    """Totals since the start.

    ``positions`` are the newest shipped second of each collector; ``lag_s`` how many closed seconds are still
    to be shipped; ``expired`` seconds that were older than the target keeps; ``mismatches`` times that
    the target did not hold what it acknowledged, or held something else; ``failure`` why nothing is
    shipped just now, None where all is well.
    """

    positions: tuple[tuple[str, int], ...] = ()
    lag_s: int = 0
    records: int = 0
    bars: int = 0
    failures: int = 0
    expired: int = 0
    mismatches: int = 0
    failure: str | None = None


class _Remembered(msgspec.Struct, frozen=True):
    target: str
    positions: dict[str, int]


class Shipper:
    """Ships every collector's records of ``source`` to ``target``; both are its own and closed in the end.

    ``name`` says in the file at ``path`` whose positions these are. Records older than ``keep_s`` are left
    out, since the target would refuse them. After a failure it waits, in the end ``longest_pause_s`` each
    time. Only collectors that ``ships`` names are shipped. ``status`` may be read from any thread.
    """

    def __init__(
        self,
        source: BarStore,
        target: ShippingTarget,
        name: str,
        path: Path,
        clock: Clock,
        keep_s: int | None = None,
        longest_pause_s: float = _LONGEST_PAUSE_S,
        ships: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.status = ShippingStatus()
        self._source = source
        self._target = target
        self._name = name
        self._path = path
        self._clock = clock
        self._keep_s = keep_s
        self._longest_pause_s = longest_pause_s
        self._ships = ships
        self._positions: dict[str, int] = {}
        self._shipped_instruments: tuple[Instrument, ...] = ()
        self._is_aligned = False
        self._lacks_something = False
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something new may be in the source."""
        self._wanted.set()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Ship what the source holds, for at most so long, and end.

        A request under way may outlast that, harmlessly: the thread does not hold up the end of the process.
        """
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._abandoned.set()

    def _run(self) -> None:
        self._positions = self._remembered()
        pause_s = min(_FIRST_PAUSE_S, self._longest_pause_s)
        try:
            while not self._abandoned.is_set():
                self._wanted.clear()
                try:
                    has_shipped = self._ship()
                except StoreError as error:
                    self._note_failure(error)
                    if self._stopping.wait(pause_s):
                        return
                    pause_s = min(2 * pause_s, self._longest_pause_s)
                    continue
                if self.status.failure is not None:
                    _LOG.warning("shipping: %s takes records again", self._name)
                    self.status = replace(self.status, failure=None)
                pause_s = min(_FIRST_PAUSE_S, self._longest_pause_s)
                if not has_shipped:
                    if self._stopping.is_set():
                        return
                    self._wanted.wait(_LOOK_S)
        finally:
            if not self._stopping.is_set():  # a bug; whoever watches the status has to see it
                self.status = replace(self.status, failure="the shipper has ended; the log says why")
            self._source.close()
            self._target.close()

    def _ship(self) -> bool:
        """One batch, of the collector that stands furthest back; whether there was any.

        So a reader that finds a second finds what lies before it too, whichever collector wrote it.
        """
        self._note_lag()
        if not self._is_aligned:
            self._align()
        self._ship_instruments()
        waiting = []
        for collector in self._collectors():
            last = self._source.last_second(collector)
            if last is not None and (start := self._next(collector, last)) <= last:
                waiting.append((start, collector, last))
        if not waiting:
            return False
        start, collector, last = min(waiting)
        self._ship_batch(collector, start, last)
        return True

    def _ship_batch(self, collector: str, start: int, last: int) -> None:
        """The next records from second ``start`` on; a stretch without any is passed over in one step."""
        batch = _batch(self._source, collector, start, min(last + 1, start + _BATCH_SECONDS))
        if batch:
            self._target.append(batch)
            self._target.resample(batch)
            end = batch[-1].second
        else:
            following = next(iter(self._source.records(start, last + 1, [collector])), None)
            end = last if following is None else following.second - 1
        self._positions[collector] = end
        self._note_shipped(batch)

    def _align(self) -> None:
        """Set positions back to what the target really holds; make it ready where it is not."""
        collectors = self._collectors()
        if self._lacks_something:
            self._set_up()
        try:
            held = {collector: self._target.last_second(collector) for collector in collectors}
        except StoreMissingError as error:
            _LOG.info("shipping: %s", error)
            self._set_up()
            held = {collector: self._target.last_second(collector) for collector in collectors}
        for collector, second in held.items():
            if second is None:
                self._positions.pop(collector, None)
            elif collector in self._positions:
                self._positions[collector] = min(self._positions[collector], second)
        self._shipped_instruments = ()
        self._is_aligned = True

    def _set_up(self) -> None:
        for step in self._target.set_up():
            _LOG.info("shipping: %s", step)
        self._lacks_something = False

    def _ship_instruments(self) -> None:
        instruments = self._source.instruments()
        if instruments != self._shipped_instruments:
            self._target.put_instruments(instruments)
            self._shipped_instruments = instruments

    def _collectors(self) -> tuple[str, ...]:
        return tuple(name for name in self._source.collectors() if self._ships(name))

    def _next(self, collector: str, last: int) -> int:
        """The second to go on with; what the target would refuse for its age is passed over and counted.

        Beyond ``last``, the collector's newest, where nothing is left; so for one that ended long ago.
        """
        position = self._positions.get(collector)
        span = self._source.span()
        start = (span[0] if span else 0) if position is None else position + 1
        if self._keep_s is None or start > last:
            return start
        oldest = self._clock.now_ns() // NS_PER_SECOND - self._keep_s
        if position is not None and start < oldest:
            self._positions[collector] = passed = min(oldest - 1, last)
            self.status = replace(self.status, expired=self.status.expired + passed - position)
            _LOG.error(
                "shipping: seconds %d to %d of %s are older than %s keeps; they stay in the embedded store",
                start,
                passed,
                collector,
                self._name,
            )
        return max(start, oldest)

    def _note_shipped(self, batch: Sequence[ClosingRecord]) -> None:
        self.status = replace(
            self.status,
            positions=tuple(sorted(self._positions.items())),
            records=self.status.records + len(batch),
            bars=self.status.bars + sum(len(record.bars) for record in batch),
        )
        self._note_lag()
        self._remember()

    def _note_lag(self) -> None:
        span = self._source.span()
        if span is None:
            return
        lags = [
            (self._source.last_second(name) or 0) - self._positions.get(name, span[0] - 1)
            for name in self._collectors()
        ]
        self.status = replace(self.status, lag_s=max(0, *lags))

    def _note_failure(self, error: StoreError) -> None:
        if str(error) != self.status.failure:
            _LOG.error("shipping: %s; records stay in the embedded store and are shipped later", error)
        self.status = replace(
            self.status,
            failures=self.status.failures + 1,
            mismatches=self.status.mismatches + isinstance(error, _MISMATCHES),
            failure=str(error),
        )
        self._is_aligned = False
        self._lacks_something = isinstance(error, StoreMissingError)

    def _remembered(self) -> dict[str, int]:
        """The positions of the last life; none where there is no file, or it is of another target."""
        try:
            remembered = msgspec.json.decode(self._path.read_bytes(), type=_Remembered)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            _LOG.warning("shipping: %s cannot be read (%s); everything is compared again", self._path, error)
            return {}
        return dict(remembered.positions) if remembered.target == self._name else {}

    def _remember(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_json(self._path, _Remembered(self._name, self._positions))
        except OSError as error:
            _LOG.warning(
                "shipping: %s cannot be written (%s); the next start compares more", self._path, error
            )


def open_shipper(settings: Settings, clock: Clock) -> Shipper | None:
    """The shipper to the InfluxDB that the settings name; None where they name none.

    Raises SettingsError for a password file that cannot be read.
    """
    if not settings.influx_url:
        return None
    # A collector without InfluxDB does without the client, which takes 14 MB and most of a second to load.
    from squeezeflow_plugin.store.influx import InfluxBarStore  # noqa: PLC0415

    hours = settings.influx_retention_hours
    return Shipper(
        EmbeddedBarStore(settings.store_path, readonly=True),
        InfluxBarStore(settings),
        f"InfluxDB {settings.influx_url}, database {settings.influx_database}",
        settings.data_dir / f"shipped{settings.shard_suffix}.json",
        clock,
        None if hours is None else hours * 3600 - settings.revision_horizon_s - _MARGIN_S,
        ships=partial(ships, settings),
    )


def _batch(source: BarStore, collector: str, start: int, stop: int) -> list[ClosingRecord]:
    batch: list[ClosingRecord] = []
    bars = 0
    for record in source.records(start, stop, [collector]):
        batch.append(record)
        bars += len(record.bars)
        if bars >= _BATCH_BARS:
            break
    return batch
