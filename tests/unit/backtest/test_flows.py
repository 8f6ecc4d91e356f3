"""Chunks of any length are one span, and reading all assets at once changes no bar."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from squeezeflow_plugin.backtest.flows import Chunk, chunks, part_of
from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.features.layout import INPUT_NAMES
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.decisions import AssetDecisions, Signal
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.records import MARKETS, script

BTC = AssetMarkets("BTC", ("A:btc", "B:btc"), ("F:btc",), "A:btc")
ETH = AssetMarkets("ETH", ("A:eth",), ("F:eth",), "F:eth")
START = 1_754_697_600 - 1234


@pytest.fixture(scope="module")
def store() -> MemoryBarStore:
    """Four hours of five markets with holes, late revisions, and a reference that begins to trade later."""
    random = np.random.default_rng(3)
    names = BTC.all + ETH.all
    found = MemoryBarStore()
    for second in range(START, START + 4 * 3600, 1):
        if random.random() < 0.7:
            continue
        bars = []
        for name in names:
            if random.random() < 0.5 and not (name == "F:eth" and second < START + 4000):
                price = 100 + random.normal()
                buy, sell = random.lognormal(2, 1, 2).tolist()
                bars.append(Bar(name, second, price, price + 1, price - 1, price, buy, sell, 3, 4, 0.0, 0.0))
        covered = tuple(name for name in names if random.random() < 0.9)
        found.append([ClosingRecord("main", second, (second + 1) * 10**9, tuple(bars), (), covered)])
    return found


def joined(found: list[Chunk], key: str) -> dict[str, np.ndarray]:
    parts = [chunk.assets[key] for chunk in found]
    columns = {
        name: np.concatenate([getattr(part.flow, name) for part in parts]) for name in ("time", *INPUT_NAMES)
    }
    return {**columns, "volume": np.concatenate([part.volume for part in parts])}


def same(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> bool:
    return all(left[name].tobytes() == right[name].tobytes() for name in left)


@pytest.mark.parametrize("hours", [1, 3])
def test_chunks_of_any_length_are_one_span(store: MemoryBarStore, hours: int) -> None:
    span = START + 500, START + 4 * 3600 - 77
    assets = {"BTC": BTC, "ETH": ETH}
    whole = list(chunks(store, assets, *span, chunk_hours=24))
    cut = list(chunks(store, assets, *span, chunk_hours=hours))
    assert len(cut) > 1
    assert (cut[0].start, cut[-1].stop) == span
    assert [chunk.stop for chunk in cut[:-1]] == [chunk.start for chunk in cut[1:]]
    for key, markets in assets.items():
        assert same(joined(whole, key), joined(cut, key)), key
        alone = list(chunks(store, {key: markets}, *span, chunk_hours=hours))
        assert same(joined(alone, key), joined(cut, key)), key


def test_rows_begin_with_the_first_price(store: MemoryBarStore) -> None:
    first = joined(list(chunks(store, {"ETH": ETH}, START, START + 3 * 3600)), "ETH")["time"][0]
    bars = store.bars(START, START + 3 * 3600, ["F:eth"])
    assert first == bars.second[0] >= START + 4000


def test_a_part_of_bars_is_what_the_store_hands_out(store: MemoryBarStore) -> None:
    span = START, START + 1800
    part, asked = part_of(store.bars(*span), ETH.all), store.bars(*span, ETH.all)
    assert part.names == asked.names
    for name in ("market", "second", "known", "revision", "close", "vbuy", "csell"):
        assert getattr(part, name).tolist() == getattr(asked, name).tolist(), name


def decided(store: MemoryBarStore, markets: AssetMarkets, hours: int) -> tuple[list[Signal], AssetDecisions]:
    span = store.span()
    assert span is not None
    decisions = AssetDecisions(Params(), span[0] + 7200)
    signals: list[Signal] = []
    for chunk in chunks(store, {"x": markets}, *span, chunk_hours=hours):
        signals += decisions.decide(chunk.assets["x"].flow)
    return signals, decisions


def test_chunked_decisions_are_one_pass() -> None:
    told = script(scripted_frame(5, 9000, (Episode(7000, 1),), start=START - START % 3600 + 1500), seed=5)
    store = MemoryBarStore()
    store.append(told.records)
    signals, whole = decided(store, MARKETS, 24)
    again, cut = decided(store, MARKETS, 1)
    assert signals
    assert signals == again
    assert whole.exits == cut.exits
    assert whole.events == cut.events
    assert whole.tally == cut.tally
