"""One suite over every bar store: what was written reads back, and every view equals a naive twin's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.errors import StoreConflictError, StoreError
from squeezeflow_plugin.market import (
    BAR_FIELDS,
    Bar,
    ClosingRecord,
    DerivativeTicker,
    Instrument,
    Interval,
    MarketKind,
)
from squeezeflow_plugin.store.contract import BarColumns, BarStore
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.influx import InfluxBarStore
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_setup import set_up_policies
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.store.rolling import Periods, StoreKeeper
from tests.given_servers import GivenInflux
from tests.influx_server import InfluxDaemon

MARKETS = ("BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt", "BINANCE:ethusdt", "BINANCE:btcfdusd")
T0 = 1_723_161_600
SPAN = 12

StoreMaker = Callable[[], BarStore]


class RollingStore(EmbeddedBarStore):
    """The embedded store with a keeper that moves rows into partitions seconds after they came."""

    def __init__(self, path: Path, kept_s: int, day_s: int) -> None:
        super().__init__(path)
        self._kept_s = kept_s
        self._keeper = StoreKeeper(path, Periods(block_s=5, day_s=day_s))

    def append(self, records: Iterable[ClosingRecord]) -> None:
        super().append(records)
        span = self.span()
        if span is not None:
            self._keeper.roll_over(span[1] - self._kept_s)

    def close(self) -> None:
        self._keeper.close()
        super().close()


@pytest.fixture(params=["memory", "embedded", "rolling", "rolled", "influx"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreMaker]:
    made: list[BarStore] = []
    daemon = request.getfixturevalue("influx_databases") if request.param == "influx" else None

    def make() -> BarStore:
        if daemon is not None:
            made.append(new_influx_store(daemon))
        elif request.param == "memory":
            made.append(MemoryBarStore())
        elif request.param.startswith("roll"):
            # "rolled" leaves nothing in SQLite: seconds that are not over are rolled, again and again.
            kept_s, day_s = (3, 20) if request.param == "rolling" else (-99, 100)
            made.append(RollingStore(tmp_path / f"{len(made)}.sqlite", kept_s, day_s))
        else:
            made.append(EmbeddedBarStore(tmp_path / f"{len(made)}.sqlite"))
        return made[-1]

    yield make
    for store in made:
        store.close()


def new_influx_store(daemon: InfluxDaemon | GivenInflux) -> InfluxBarStore:
    configured = daemon.settings()
    server = InfluxServer(configured)
    set_up_policies(server, configured)
    server.close()
    return InfluxBarStore(configured)


def bar(market: str, second: int, revision: int = 0, close: float = 60_000.5) -> Bar:
    return Bar(market, second, close, close, close, close, 1.5, 0.25, 3, 1, 0.0, 0.0, revision)


def record(second: int, collector: str = "main", **fields: object) -> ClosingRecord:
    return ClosingRecord(collector, second, second * 10**9 + 1_400_000_000, **fields)  # type: ignore[arg-type]  # free-form test fields


prices = st.floats(1e-8, 1e9) | st.just(math.nan)
volumes = st.floats(0, 1e12)
counts = st.integers(0, 2**32 - 1)


@st.composite
def record_streams(draw: st.DrawFn) -> list[ClosingRecord]:
    """Two collectors, seconds with gaps, bars, revisions of earlier seconds, coverage and repairs."""
    stream = []
    for collector in ("main", "a-second-one"):
        for second in sorted(draw(st.sets(st.integers(T0, T0 + SPAN - 1), max_size=SPAN))):
            own = draw(st.lists(st.sampled_from(MARKETS), unique=True))
            earlier = st.tuples(st.sampled_from(MARKETS), st.integers(T0 - 3, second - 1))
            revised = draw(st.lists(earlier, unique=True, max_size=3))
            covered = draw(st.lists(st.sampled_from(MARKETS), unique=True))
            repaired = draw(
                st.lists(st.builds(Interval, st.sampled_from(MARKETS), st.just(T0), st.just(second + 1)))
            )
            stream.append(
                record(
                    second,
                    collector,
                    bars=tuple(_draw_bar(draw, market, second, 0) for market in own),
                    revisions=tuple(_draw_bar(draw, m, s, draw(st.integers(1, 3))) for m, s in revised),
                    covered=tuple(covered),
                    uncovered=tuple(market for market in MARKETS if market not in covered),
                    repaired=tuple(repaired[:1]),
                    tickers=tuple(_draw_tickers(draw, second)),
                )
            )
    return stream


def _draw_tickers(draw: st.DrawFn, second: int) -> Iterator[DerivativeTicker]:
    for market in draw(st.lists(st.sampled_from(MARKETS), unique=True, max_size=2)):
        age_ns = draw(st.integers(1, 10**12))
        interest, funding = draw(volumes | st.just(math.nan)), draw(volumes | st.just(math.nan))
        yield DerivativeTicker(market, (second + 1) * 10**9 - age_ns, interest, interest, funding)


def _draw_bar(draw: st.DrawFn, market: str, second: int, revision: int) -> Bar:
    o, h, low, c = (draw(prices) for _ in range(4))
    return Bar(
        market, second, o, h, low, c, draw(volumes), draw(volumes), draw(counts), draw(counts),
        draw(volumes), draw(volumes), revision,
    )  # fmt: skip  # one line a group of fields


def naive_bars(
    records: Iterable[ClosingRecord],
    start: int,
    stop: int,
    markets: Iterable[str] | None,
    known_at: int | None,
) -> dict[tuple[int, str], tuple[int, Bar]]:
    """The view by its definition: of the rows known by then the largest in (known, revision, collector)."""
    best: dict[tuple[int, str], tuple[tuple[int, int, str], Bar]] = {}
    for item in records:
        for row in (*item.bars, *item.revisions):
            if known_at is not None and item.second > known_at:
                continue
            if not start <= row.second < stop or (markets is not None and row.market not in markets):
                continue
            age = (item.second, row.revision, item.collector)
            key = (row.second, row.market)
            if key not in best or age > best[key][0]:
                best[key] = (age, row)
    return {key: (age[0], row) for key, (age, row) in best.items()}


def naive_coverage(
    records: Iterable[ClosingRecord],
    start: int,
    stop: int,
    markets: Iterable[str] | None,
    known_at: int | None,
) -> set[tuple[str, int]]:
    found = set()
    for item in records:
        if known_at is None or item.second <= known_at:
            found |= {(market, item.second) for market in item.covered}
            found |= {(span.market, s) for span in item.repaired for s in range(span.start, span.stop)}
    return {(m, s) for m, s in found if start <= s < stop and (markets is None or m in markets)}


def comparable(values: list[float]) -> tuple[object, ...]:
    return tuple(None if math.isnan(value) else value for value in values)


def rows_of(columns: BarColumns) -> list[tuple[int, str, int, tuple[object, ...]]]:
    """Each row as (second, market, known, fields), NaN written as None so that rows compare."""
    out = []
    for i in range(len(columns)):
        values = [getattr(columns, name)[i].item() for name in BAR_FIELDS] + [columns.revision[i].item()]
        second, market = int(columns.second[i]), columns.names[columns.market[i]]
        out.append((second, market, int(columns.known[i]), comparable(values)))
    return out


def rows_of_naive(
    view: dict[tuple[int, str], tuple[int, Bar]],
) -> list[tuple[int, str, int, tuple[object, ...]]]:
    out = []
    for (second, market), (known, row) in sorted(view.items()):
        values = [getattr(row, name) for name in BAR_FIELDS] + [row.revision]
        out.append((second, market, known, comparable(values)))
    return out


def encoded(records: Iterable[ClosingRecord]) -> list[bytes]:
    return [msgspec.msgpack.encode(item) for item in records]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    stream=record_streams(),
    batch=st.integers(1, 7),
    start=st.integers(T0 - 4, T0 + SPAN),
    length=st.integers(0, SPAN + 4),
    markets=st.none() | st.lists(st.sampled_from((*MARKETS, "NOBODY:knows"))),
    known_at=st.none() | st.integers(T0 - 1, T0 + SPAN),
)
def test_any_stream_reads_back_and_every_view_equals_the_naive_one(
    make_store: StoreMaker,
    stream: list[ClosingRecord],
    batch: int,
    start: int,
    length: int,
    markets: list[str] | None,
    known_at: int | None,
) -> None:
    store = make_store()
    for at in range(0, len(stream), batch):
        store.append(stream[at : at + batch])
    store.append(iter(stream))
    stop = start + length
    in_order = sorted(stream, key=lambda item: (item.second, item.collector))

    assert encoded(store.records(T0, T0 + SPAN)) == encoded(in_order)
    assert encoded(store.records(start, stop, ["main"])) == encoded(
        item for item in in_order if start <= item.second < stop and item.collector == "main"
    )
    columns = store.bars(start, stop, markets, known_at)
    assert rows_of(columns) == rows_of_naive(naive_bars(stream, start, stop, markets, known_at))
    assert columns.names == tuple(sorted({columns.names[i] for i in columns.market}))
    intervals = store.coverage(start, stop, markets, known_at)
    assert list(intervals) == sorted(intervals, key=lambda i: (i.market, i.start))
    flat = [(i.market, s) for i in intervals for s in range(i.start, i.stop)]
    assert set(flat) == naive_coverage(stream, start, stop, markets, known_at)
    assert len(flat) == len(set(flat))
    assert not {(i.market, i.stop) for i in intervals} & {(i.market, i.start) for i in intervals}
    tickers = [
        (item.second, ticker)
        for item in in_order
        for ticker in item.tickers
        if start <= item.second < stop and (markets is None or ticker.market in markets)
    ]
    # encoded, because a NaN differs from itself
    assert msgspec.msgpack.encode(store.tickers(start, stop, markets)) == msgspec.msgpack.encode(tickers)
    assert store.collectors() == tuple(sorted({item.collector for item in stream}))
    assert store.span() == ((in_order[0].second, in_order[-1].second + 1) if stream else None)
    for collector in ("main", "a-second-one"):
        assert store.last_second(collector) == max(
            (item.second for item in stream if item.collector == collector), default=None
        )


def test_an_empty_store_answers_everything(make_store: StoreMaker) -> None:
    store = make_store()
    assert store.last_second("main") is None
    assert store.span() is None
    assert store.collectors() == ()
    assert list(store.records(0, 2**40)) == []
    assert store.coverage(0, 2**40) == ()
    assert store.tickers(0, 2**40) == ()
    assert store.instruments() == ()
    columns = store.bars(0, 2**40)
    assert (len(columns), columns.names) == (0, ())
    assert columns.cbuy.dtype == np.int64
    assert columns.close.dtype == np.float64


def test_an_empty_record_is_a_record(make_store: StoreMaker) -> None:
    store = make_store()
    store.append([record(T0)])
    assert store.last_second("main") == T0
    assert list(store.records(T0, T0 + 1)) == [record(T0)]
    assert len(store.bars(T0, T0 + 1)) == 0


def test_a_different_record_is_refused_and_nothing_of_the_call_stays(make_store: StoreMaker) -> None:
    store = make_store()
    first = record(T0, bars=(bar(MARKETS[0], T0),))
    store.append([first, record(T0 + 1)])
    other = record(T0, bars=(bar(MARKETS[0], T0, close=1.0),), covered=("NEW:market",))
    with pytest.raises(StoreConflictError, match=f"'main' has closed second {T0}"):
        store.append([record(T0 + 2, "newcomer"), record(T0 + 2), other])
    assert store.last_second("main") == T0 + 1
    assert store.collectors() == ("main",)
    with pytest.raises(StoreConflictError):
        store.append([record(T0 + 3), record(T0 + 3, covered=(MARKETS[0],))])
    store.append([record(T0 + 2, covered=(MARKETS[1],))])
    assert [item.second for item in store.records(T0, T0 + 9)] == [T0, T0 + 1, T0 + 2]
    assert store.coverage(T0, T0 + 9) == (Interval(MARKETS[1], T0 + 2, T0 + 3),)


def test_records_of_earlier_seconds_can_follow(make_store: StoreMaker) -> None:
    store = make_store()
    store.append([record(T0 + 10)])
    store.append([record(T0, bars=(bar(MARKETS[0], T0),)), record(T0 + 10)])
    assert store.span() == (T0, T0 + 11)
    assert store.last_second("main") == T0 + 10
    assert [item.second for item in store.records(T0, T0 + 11)] == [T0, T0 + 10]


def test_a_revision_replaces_the_bar_and_the_past_stays_readable(make_store: StoreMaker) -> None:
    store = make_store()
    revised = bar(MARKETS[0], T0, revision=1, close=59_000.0)
    store.append(
        [
            record(T0, bars=(bar(MARKETS[0], T0),)),
            record(T0 + 1),
            record(T0 + 700, revisions=(revised,)),
        ]
    )
    assert store.bars(T0, T0 + 1).close.tolist() == [59_000.0]
    assert store.bars(T0, T0 + 1, known_at=T0 + 699).close.tolist() == [60_000.5]
    assert store.bars(T0, T0 + 1, known_at=T0 + 700).known.tolist() == [T0 + 700]
    assert len(store.bars(T0, T0 + 1, known_at=T0 - 1)) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (record(T0, bars=(bar(MARKETS[0], T0 + 1),)), "is of second"),
        (record(T0, revisions=(bar(MARKETS[0], T0),)), "which is not earlier"),
        (record(T0, bars=(bar(MARKETS[0], T0),) * 2), "two bars of one second"),
        (record(T0, revisions=(bar(MARKETS[0], T0 - 1),) * 2), "two bars of one second"),
        (record(T0, covered=(MARKETS[0],), uncovered=(MARKETS[0],)), "named twice"),
        (record(T0, repaired=(Interval(MARKETS[0], T0, T0),)), "is impossible"),
        (record(T0, repaired=(Interval(MARKETS[0], T0, T0 + 2),)), "is impossible"),
        (record(T0, tickers=(DerivativeTicker(MARKETS[0], (T0 + 1) * 10**9, 1.0, 1.0, 0.0),)), "is later"),
        (record(T0, tickers=(DerivativeTicker(MARKETS[0], 0, 1.0, 1.0, 0.0),) * 2), "two tickers"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(
    make_store: StoreMaker, wrong: ClosingRecord, message: str
) -> None:
    store = make_store()
    with pytest.raises(StoreError, match=f"second {T0}.*{message}"):
        store.append([record(T0 - 1), wrong])
    assert store.span() is None


def test_instruments_are_replaced_by_later_descriptions(make_store: StoreMaker) -> None:
    store = make_store()
    spot = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
    coin = Instrument(
        "BINANCE_FUTURES:btcusd_perp", "BTCUSD_PERP", MarketKind.PERP, "BTC", "USD", "BTC", 100.0, True
    )
    store.put_instruments([coin, spot])
    store.put_instruments([msgspec.structs.replace(coin, contract_size=10.0)])
    assert store.instruments() == (spot, msgspec.structs.replace(coin, contract_size=10.0))


def test_pages_of_a_long_span_join_without_a_seam(make_store: StoreMaker) -> None:
    store = make_store()
    seconds = [*range(T0, T0 + 4_200), *range(T0 + 5_000_000, T0 + 5_000_010)]
    store.append(record(s, bars=(bar(MARKETS[0], s, close=float(s)),), covered=MARKETS[:1]) for s in seconds)
    assert store.bars(0, 2**40).second.tolist() == seconds
    assert [item.second for item in store.records(0, 2**40)] == seconds
    assert store.coverage(0, 2**40) == (
        Interval(MARKETS[0], T0, T0 + 4_200),
        Interval(MARKETS[0], T0 + 5_000_000, T0 + 5_000_010),
    )
