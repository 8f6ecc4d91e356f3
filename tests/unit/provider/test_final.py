"""The final view gives the bits that live rows end with, whatever the pieces it is read in."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.features.layout import CLOSE, COVERAGE_P, COVERAGE_S, OI_CHANGE
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, DerivativeTicker, Interval
from squeezeflow_plugin.provider.closings import closed_seconds
from squeezeflow_plugin.provider.final import VOLUME, FinalRows, final_rows
from squeezeflow_plugin.provider.rows import AssetRows
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.reference.flows import Episode, scripted_frame, silence
from tests.unit.provider.records import INSTRUMENTS, MARKETS, PERP_A, SPOT_A, SPOT_B, script

ROWS = 9_000


def _records(seed: int) -> list[ClosingRecord]:
    """Late and revised bars, silent seconds, markets that come and go, and one repaired span."""
    frame = scripted_frame(seed, ROWS, (Episode(1_000, 1),))
    silence(frame, 4_000, 4_400, 0.9, seed)
    records = list(script(frame, seed, late=0.05).records)
    rng = np.random.default_rng(seed)
    for place in np.flatnonzero(rng.random(ROWS) < 0.02).tolist():
        covered = records[place].covered
        kept = tuple(name for name in covered if name != SPOT_B.market)
        records[place] = msgspec.structs.replace(records[place], covered=kept)
    for place in range(0, ROWS, 30):
        if rng.random() < 0.8:
            end_ns = (records[place].second + 1) * NS_PER_SECOND
            interest = DerivativeTicker(PERP_A.market, end_ns - int(rng.integers(1, 10**11)), 1.0, 0.0, 0.0)
            interest = msgspec.structs.replace(interest, interest_usd=float(rng.integers(90, 110)))
            records[place] = msgspec.structs.replace(records[place], tickers=(interest,))
    second = records[5_000].second
    repaired = (Interval(SPOT_B.market, second - 3_000, second - 100), Interval("X:other", 0, 10**9))
    records[5_000] = msgspec.structs.replace(records[5_000], repaired=repaired)
    return records


def _store(records: Sequence[ClosingRecord]) -> MemoryBarStore:
    store = MemoryBarStore()
    store.put_instruments(INSTRUMENTS)
    store.append(records)
    return store


def _joined(pieces: Sequence[FinalRows]) -> np.ndarray:
    return np.concatenate([piece.values for piece in pieces], axis=1)


@pytest.fixture(scope="module", params=[1, 2])
def store(request: pytest.FixtureRequest) -> MemoryBarStore:
    return _store(_records(request.param))


def test_it_is_what_live_rows_end_with(store: MemoryBarStore) -> None:
    span = store.span()
    assert span is not None
    live = AssetRows(MARKETS, span[0], hold=ROWS, horizon_s=600)
    for closed in closed_seconds(store, *span):
        live.apply(closed.records)
    found = _joined(list(final_rows(store, MARKETS, *span)))
    expected = live.values(*span)
    shares = expected[COVERAGE_S : COVERAGE_P + 1]
    assert len(np.unique(shares)) >= 5, "hours with different weights were met"
    assert len(np.unique(expected[OI_CHANGE])) >= 20, "open interest changed"
    assert found.tobytes() == expected.tobytes()


def test_pieces_and_the_start_change_nothing(store: MemoryBarStore) -> None:
    span = store.span()
    assert span is not None
    whole = _joined(list(final_rows(store, MARKETS, *span)))
    pieces = list(final_rows(store, MARKETS, *span, piece_hours=1))
    assert [piece.stop % 3600 for piece in pieces[:-1]] == [0] * (len(pieces) - 1)
    assert [piece.first for piece in pieces[1:]] == [piece.stop for piece in pieces[:-1]]
    assert _joined(pieces).tobytes() == whole.tobytes()
    later = _joined(list(final_rows(store, MARKETS, span[0] + 4_321, span[1])))
    assert later.tobytes() == whole[:, 4_321:].tobytes()


def test_traded_and_revised_volume_are_counted(store: MemoryBarStore) -> None:
    span = store.span()
    assert span is not None
    columns = store.bars(*span, MARKETS.all)
    quote = columns.vbuy + columns.vsell
    pieces = list(final_rows(store, MARKETS, *span))
    assert sum(piece.traded for piece in pieces) == pytest.approx(quote.sum())
    late = columns.known > columns.second
    assert sum(piece.revised for piece in pieces) == pytest.approx(quote[late].sum())
    assert 0.02 < quote[late].sum() / quote.sum() < 0.08


def test_seconds_nobody_closed_are_uncovered_rows_without_volume() -> None:
    records = script(scripted_frame(3, 1_000, ()), seed=3).records
    store = _store([record for record in records if not 200 <= record.second - records[0].second < 300])
    first = records[0].second
    rows = _joined(list(final_rows(store, MARKETS, first - 50, first + 400)))
    assert np.isnan(rows[CLOSE, :50]).all(), "no price before the first trade"
    hole = rows[:, 250:350]
    assert (hole[CLOSE] == rows[CLOSE, 249]).all()
    assert not hole[VOLUME].any()
    assert not hole[COVERAGE_S : COVERAGE_P + 1].any()


def test_an_asset_without_perpetuals_has_no_coverage_of_them() -> None:
    records = _records(4)
    markets = AssetMarkets("BTC", (SPOT_A.market,), (), SPOT_A.market)
    rows = _joined(list(final_rows(_store(records), markets, records[0].second, records[99].second)))
    assert not rows[COVERAGE_P].any()
    assert PERP_A.market not in markets.all


def test_an_empty_span_has_no_rows() -> None:
    assert list(final_rows(MemoryBarStore(), MARKETS, 5, 5)) == []
