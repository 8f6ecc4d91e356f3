"""Flow by market from the store, and the entries that one venue alone makes."""

from __future__ import annotations

import numpy as np
import pytest

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.closings import closed_seconds
from squeezeflow_plugin.provider.rows import AssetRows
from squeezeflow_plugin.provider.venues import judge, judged_venues, market_flows
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.reference.flows import noise_frame
from tests.unit.provider.crowds import MARKETS, VENUES, crowd
from tests.unit.provider.records import MARKETS as TWO
from tests.unit.provider.records import script


def rows_of(store: BarStore, markets: AssetMarkets) -> Flow:
    span = store.span()
    assert span is not None
    rows = AssetRows(markets, span[0], hold=span[1] - span[0], horizon_s=600)
    for closed in closed_seconds(store, *span):
        rows.apply(closed.records)
    assert rows.first_priced is not None
    return rows.flow(rows.first_priced, span[1])


def first_event(flow: Flow) -> tuple[int, int]:
    events = Engine().run(flow).event
    row = int(np.flatnonzero(events)[0])
    return row, int(events[row])


def filled(records: tuple[ClosingRecord, ...]) -> MemoryBarStore:
    store = MemoryBarStore()
    store.append(records)
    return store


def test_the_markets_add_up_to_the_rows_to_the_bit() -> None:
    store = filled(script(noise_frame(3, 900), 3, late=0.2).records)
    flow = rows_of(store, TWO)
    flows = market_flows(store, TWO, int(flow.time[0]), int(flow.time[-1]) + 1)
    for kind in ("spot", "perp"):
        buy, sell = flows.part(kind)
        assert np.array_equal(buy, getattr(flow, f"{kind}_buy"))
        assert np.array_equal(sell, getattr(flow, f"{kind}_sell"))


def test_as_known_leaves_later_revisions_out() -> None:
    store = filled(script(noise_frame(4, 900), 4, late=0.5).records)
    span = store.span()
    assert span is not None
    middle = span[0] + 450
    early = market_flows(store, TWO, span[0], middle, middle - 1)
    final = market_flows(store, TWO, span[0], middle)
    assert not np.array_equal(early.buy, final.buy)
    assert (early.buy <= final.buy).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_squeeze_on_every_venue_stands_without_any_of_them(seed: int) -> None:
    store = filled(crowd(seed))
    flow = rows_of(store, MARKETS)
    row, direction = first_event(flow)
    found = judge(store, MARKETS, flow.part(row - 7_199, row + 1), direction, Params())
    assert [(each.kind, each.venue) for each in found.left_out] == list(judged_venues(MARKETS))
    assert not found.fragile
    assert str(found) == ""
    assert all(each.score > 0 for each in found.left_out)


@pytest.mark.parametrize("wash", range(len(VENUES)))
def test_a_wash_on_one_venue_is_fragile_and_named(wash: int) -> None:
    store = filled(crowd(1, wash))
    flow = rows_of(store, MARKETS)
    row, direction = first_event(flow)
    second = int(flow.time[row])
    found = judge(store, MARKETS, flow.part(row - 7_199, row + 1), direction, Params(), second)
    assert (found.second, found.direction, found.fragile) == (second, direction, True)
    alone = {each.venue for each in found.left_out if not each.stands}
    assert alone == {VENUES[wash]}
    assert f"without {VENUES[wash]} spot the score is" in str(found)


def test_two_venues_are_not_judged_and_the_store_is_not_read() -> None:
    flow = rows_of(filled(script(noise_frame(3, 600), 3).records), TWO)
    empty = MemoryBarStore()
    found = judge(empty, TWO, flow, 1, Params())
    assert (found.left_out, found.fragile) == ((), False)
