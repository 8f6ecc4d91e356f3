"""Index, mark and funding follow from the trades of both markets."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.simulator.marks import Marks
from squeezeflow_plugin.simulator.tape import Tape
from squeezeflow_plugin.simulator.venue import Venue
from tests.unit.simulator.markets import ORIGIN, venue_of

NOW_MS = (ORIGIN + 600) * 1000


@pytest.fixture(scope="module")
def venue() -> Venue:
    made = venue_of("BTC", "SOL")
    made.extend(ORIGIN + 660)
    return made


def tapes(venue: Venue, base: str) -> tuple[Tape, Tape]:
    return venue.tapes[f"BINANCE_FUTURES:{base}usdt"], venue.tapes[f"BINANCE:{base}usdt"]


def price(tape: Tape) -> float:
    last = tape.last_trade(NOW_MS)
    return float(last.ticks[0]) / last.price_scale


@pytest.mark.parametrize("base", ["btc", "sol"])
def test_the_mark_is_the_index_with_the_mean_basis(venue: Venue, base: str) -> None:
    perp, spot = tapes(venue, base)
    marks = Marks(perp, spot)
    index, mark = marks.index(NOW_MS), marks.mark(NOW_MS)
    assert index == price(spot)
    assert mark is not None
    assert mark == pytest.approx(price(perp), rel=2e-3)
    assert mark != index
    candles = marks.candles("1m", NOW_MS)
    assert candles[-1].close == pytest.approx(mark * perp.profile.price_scale, abs=1.0)
    assert all(each.low <= min(each.open, each.close) <= each.high for each in candles)
    assert {each.lots for each in candles} == {0}


def test_without_a_spot_market_its_own_prices_are_the_index(venue: Venue) -> None:
    perp, _ = tapes(venue, "btc")
    marks = Marks(perp, None)
    assert marks.index(NOW_MS) == marks.mark(NOW_MS) == price(perp)
    assert marks.funding_rate(NOW_MS) == 1e-4


def test_the_funding_rate_stays_within_its_clamp(venue: Venue) -> None:
    assert abs(Marks(*tapes(venue, "sol")).funding_rate(NOW_MS)) < 5e-3


def test_nothing_is_known_before_the_first_trade(venue: Venue) -> None:
    marks = Marks(*tapes(venue, "btc"))
    assert marks.index(0) is None
    assert marks.mark(0) is None
