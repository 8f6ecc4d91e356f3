"""``squeezeflow simulate``: build the market, write its history, serve it until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import msgspec

from squeezeflow_plugin.clock import Clock, SystemClock
from squeezeflow_plugin.errors import SimulatorError
from squeezeflow_plugin.jsonfile import replace_json
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.simulator.echoes import Ids
from squeezeflow_plugin.simulator.episodes import (
    FREE,
    Pace,
    Script,
    free_script,
    waiting_script,
    whole_minute,
)
from squeezeflow_plugin.simulator.exchange import Exchange, bot_exchange, endpoints, serving
from squeezeflow_plugin.simulator.faults import Fault, script
from squeezeflow_plugin.simulator.generator import first_state
from squeezeflow_plugin.simulator.history import write_history
from squeezeflow_plugin.simulator.peers import chosen, echoes
from squeezeflow_plugin.simulator.profiles import DEFAULT_ASSETS, AssetProfile, asset_profiles
from squeezeflow_plugin.simulator.replay import Recording, ReplayedAsset, read_recording
from squeezeflow_plugin.simulator.sources import AssetSource, GeneratedAsset
from squeezeflow_plugin.simulator.tape import Delays, Due, Tape
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.simulator.venue import Venue
from squeezeflow_plugin.simulator.wire import Spelling
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

HISTORY_S = 9000
_LEAD_S = 12
_REPLAY_LEAD_S = 20
_LEAST_LEAD_S = 8
_UNTOLD_RELEASE_S = 1200
_FAULTS_S = 3600
LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SimulatorOptions:
    """What is simulated, and where it goes.

    ``port`` 0 takes a free one; ``store`` is the file that receives the history, None writes none;
    ``state_file`` receives the port and what else the others need, once the exchange serves; ``replay`` a
    recorded trades file; ``hours`` only writes that much history up to now and ends; ``truth`` receives
    every trade sent as one JSON a line; ``late_share`` is the share of trades that are sent 0.5 to 3 s
    late. ``exchanges`` are served, with Binance's markets in any case; the history is of theirs alone. With
    ``release_every_s`` the assets' first squeezes follow each other so many seconds apart; with
    ``squeeze_every_s`` none waits for a word, and each asset's follow each other about so far apart, in the
    history as well.
    """

    seed: int = 1
    assets: tuple[str, ...] = DEFAULT_ASSETS
    port: int = 0
    store: Path | None = None
    state_file: Path | None = None
    replay: Path | None = None
    hours: float | None = None
    truth: Path | None = None
    late_share: float = Delays.late_share
    release_every_s: int | None = None
    squeeze_every_s: int | None = None
    exchanges: tuple[str, ...] = ("BINANCE", "BINANCE_FUTURES")
    faults: int | None = None
    log_level: str = "INFO"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise SimulatorError(f"seed must not be negative, was {self.seed}; nothing is simulated")
        if self.hours is not None and (self.store is None or not 0 < self.hours <= 24 * 366):
            raise SimulatorError(
                f"hours must be in (0, 8784] and need a store, were {self.hours} with store {self.store}; "
                "nothing is written"
            )
        if not 0 <= self.late_share <= 1:
            raise SimulatorError(f"late_share must be in [0, 1], was {self.late_share}; nothing is simulated")
        if self.release_every_s is not None and self.squeeze_every_s is not None:
            raise SimulatorError(
                "release_every_s is for squeezes that wait for a word, with squeeze_every_s none waits; "
                "nothing is simulated"
            )
        if self.squeeze_every_s is not None:
            Pace.every(self.squeeze_every_s)  # refuses what is too often
        chosen(self.exchanges)

    @property
    def pace(self) -> Pace:
        """How often squeezes come by themselves."""
        return FREE if self.squeeze_every_s is None else Pace.every(self.squeeze_every_s)


def run_simulator(options: SimulatorOptions, clock: Clock | None = None) -> int:
    """Run until SIGTERM or SIGINT (at once done with ``hours``); returns the exit status 0.

    Raises SimulatorError, FrameError or StoreError where it cannot be set up.
    """
    logging.basicConfig(level=options.log_level, format=LOG_FORMAT)
    clock = clock or SystemClock()
    if options.hours is not None:
        write_hours(options, clock)
        return 0
    asyncio.run(_serve(options, clock))
    return 0


def write_hours(options: SimulatorOptions, clock: Clock) -> None:
    """Write the last ``options.hours`` hours of a market with episodes at random times into the store."""
    assert options.hours is not None  # noqa: S101 - checked by run_simulator
    assert options.store is not None  # noqa: S101 - checked by SimulatorOptions
    stop = clock.now_ns() // NS_PER_SECOND
    start = whole_minute(stop - options.hours * 3600)
    profiles = asset_profiles(options.assets)
    sources = [
        GeneratedAsset(
            profile,
            options.seed,
            first_state(profile, start),
            free_script(options.seed, profile.key, start, stop, options.pace),
        )
        for profile in profiles
    ]
    venue = Venue(sources, options.seed, echoes(options.exchanges, profiles))
    with _writing(options.store) as store:
        write_history(store, venue, start, stop, options.exchanges)


def live_venue(options: SimulatorOptions, start: int, first_second: int) -> Venue:
    """The market of a live run: history from ``start``, squeezes that wait for the word, or the replayed
    file.
    """
    recording = None if options.replay is None else read_recording(options.replay)
    if recording is not None and not set(recording.bases) & set(options.assets):
        raise SimulatorError(
            f"{recording.path} holds trades of {', '.join(recording.bases)}, none of the assets "
            f"{', '.join(options.assets)}; nothing is replayed"
        )
    if recording is not None and recording.left_out:
        _logger.warning("%s: rows left out, by market: %s", recording.path, dict(recording.left_out))
    profiles = asset_profiles(options.assets)
    sources = [
        _source(options, number, profile, recording, start, first_second)
        for number, profile in enumerate(profiles)
    ]
    return Venue(sources, options.seed, echoes(options.exchanges, profiles), options.release_every_s)


def _source(
    options: SimulatorOptions,
    number: int,
    profile: AssetProfile,
    recording: Recording | None,
    start: int,
    first_second: int,
) -> AssetSource:
    if recording is not None and profile.base in recording.bases:
        return ReplayedAsset(recording, profile.base, options.seed, start, first_second)
    return GeneratedAsset(
        profile,
        options.seed,
        first_state(profile, start),
        _script(options, number, profile, start, first_second),
        release_by=first_second + _UNTOLD_RELEASE_S,
        delays=Delays(late_share=options.late_share),
    )


def _script(
    options: SimulatorOptions, number: int, profile: AssetProfile, start: int, first_second: int
) -> Script:
    if options.squeeze_every_s is not None:
        return free_script(options.seed, profile.key, start, first_second, options.pace)
    return waiting_script(options.seed, profile.key, -1 if number % 2 else 1, first_second)


async def _serve(options: SimulatorOptions, clock: Clock) -> None:
    now = clock.now_ns() // NS_PER_SECOND
    # a recording joins the history at a second that cannot be moved any more, so it gets more time
    lead = _LEAD_S if options.replay is None else _REPLAY_LEAD_S
    start, first_second = whole_minute(now - HISTORY_S), now + lead
    venue = live_venue(options, start, first_second)
    if options.store is not None:
        first_second = _write_ahead(options, venue, clock, start, first_second)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    with _truth(options.truth) as truth:
        exchange = Exchange(venue, clock, first_second, truth, _faults(options, venue, first_second))
        async with serving(exchange, options.port) as served:
            if options.state_file is not None:
                _announce(options, served.port, first_second)
            _logger.info("serving on port %d, live from second %d", served.port, first_second)
            told = asyncio.create_task(stopped.wait())
            await asyncio.wait((told, served.sending), return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                told.cancel()
                await served.sending


def _faults(options: SimulatorOptions, venue: Venue, first_second: int) -> tuple[Fault, ...]:
    """An hour of faults from ``first_second`` on, every kind about once in two minutes."""
    names = sorted({echo.instrument.exchange for echo in venue.echoes})
    if options.faults is None or not names:
        return ()
    sequenced = sorted({e.instrument.exchange for e in venue.echoes if e.ids is Ids.SEQUENCE}) or names
    span_ms = first_second * 1000, (first_second + _FAULTS_S) * 1000
    return script(options.faults, names, *span_ms, sequenced=sequenced, rounds=_FAULTS_S // 120)


def _write_ahead(options: SimulatorOptions, venue: Venue, clock: Clock, start: int, first_second: int) -> int:
    """Write the history; returns where it ends. On a slow machine it goes on until the end is ahead again."""
    assert options.store is not None  # noqa: S101 - checked by the caller
    with _writing(options.store) as store:
        write_history(store, venue, start, first_second, options.exchanges)
        now = clock.now_ns() // NS_PER_SECOND
        if first_second - now < _LEAST_LEAD_S and options.replay is None:
            write_history(store, venue, first_second, now + _LEAD_S, options.exchanges)
            return now + _LEAD_S
    return first_second


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[EmbeddedBarStore]:
    path.parent.mkdir(parents=True, exist_ok=True)
    store = EmbeddedBarStore(path)
    try:
        yield store
    finally:
        store.close()


def _announce(options: SimulatorOptions, port: int, first_second: int) -> None:
    """Tell the others where everything is; the file appears whole or not at all."""
    assert options.state_file is not None  # noqa: S101 - checked by the caller
    path = options.state_file
    body = {
        "port": port,
        "first_second": first_second,
        "endpoints": endpoints(port, options.exchanges),
        "bot_exchange": {"spot": bot_exchange(port), "futures": bot_exchange(port, futures=True)},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_json(path, body)


class TruthWriter:
    """Every trade and liquidation sent, one JSON a line, in the order sent; ``size`` as the market counts
    it.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, tape: Tape, due: Due) -> None:
        spelling = Spelling(tape.profile)
        market = tape.profile.market
        for row, sent_ms in zip(due.rows.tolist(), due.sent_ms.tolist(), strict=True):
            self._write(spelling, market, due.minute.trades, row, sent_ms)
        for row in range(len(due.forced)):
            self._write(spelling, market, due.forced, row, None)

    def _write(
        self, spelling: Spelling, market: str, trades: MarketTrades, row: int, sent_ms: int | None
    ) -> None:
        line = {
            "market": market,
            "ts_ms": int(trades.at_ms[row]),
            "trade_id": int(trades.ids[row]),
            "price": spelling.price(int(trades.ticks[row])),
            "size": spelling.size(int(trades.lots[row])),
            "side": "buy" if trades.side[row] > 0 else "sell",
            "liquidation": sent_ms is None,
            "sent_ms": sent_ms,
        }
        self._out.write(msgspec.json.encode(line).decode() + "\n")


@contextlib.contextmanager
def _truth(path: Path | None) -> Iterator[TruthWriter | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as out:
        yield TruthWriter(out)
