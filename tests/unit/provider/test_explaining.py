"""Explanations from a store of simulated bars: an entry, a near miss, a veto, a wash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.cli import main
from squeezeflow_plugin.errors import StoreEmptyError, UnknownInstrumentError
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.provider.explaining import explain_pair, run_explain, text_lines
from squeezeflow_plugin.provider.judging import final_flow
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.simulator.episodes import free_script
from squeezeflow_plugin.simulator.generator import first_state
from squeezeflow_plugin.simulator.history import write_history
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.sources import GeneratedAsset
from squeezeflow_plugin.simulator.venue import Venue
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.unit.provider.crowds import INSTRUMENTS, MARKETS, crowd

PAIR = "BTC/USDT"
HORIZON_S = 600
START, STOP, SEED = 1_700_006_400, 1_700_006_400 + 16_200, 3


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Four and a half hours of a simulated market."""
    made = Settings(data_dir=tmp_path_factory.mktemp("explained"))
    profile = asset_profile("BTC")
    script = free_script(SEED, profile.key, START, STOP)
    venue = Venue([GeneratedAsset(profile, SEED, first_state(profile, START), script)], SEED)
    written = EmbeddedBarStore(made.store_path)
    write_history(written, venue, START, STOP)
    written.close()
    return made


@pytest.fixture(scope="module")
def store(settings: Settings) -> Iterator[EmbeddedBarStore]:
    opened = EmbeddedBarStore(settings.store_path, readonly=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def event(settings: Settings, store: EmbeddedBarStore) -> int:
    """The first second that has an entry event."""
    markets = pair_markets(store.instruments(), "binance", PAIR, settings.quotes)
    span = store.span()
    assert span is not None
    scored = Engine().run(final_flow(store, markets, *span))
    return int(scored.second[np.flatnonzero(scored.event)[0]])


def test_an_entry(settings: Settings, event: int) -> None:
    found = run_explain(settings, "binance", PAIR, event)
    decision = found.told.decision
    assert (decision.second, abs(decision.event)) == (event, 1)
    assert re.fullmatch(r"entry (long|short): score \d\.\d\d >= 4\.00", found.reason)
    assert [part.points for part in found.told.parts] == [part.evaluate() for part in found.told.parts]
    assert found.told.score_before_clip == decision.score
    assert found.fragility is not None
    assert not found.fragility.fragile


def test_its_markets_add_up_to_the_windows(settings: Settings, event: int) -> None:
    found = run_explain(settings, "binance", PAIR, event)
    decision = found.told.decision
    for share in found.shares:
        u, sigma = (
            getattr(decision, f"u_{share.kind}_{share.window}"),
            getattr(decision, f"sigma_{share.kind}"),
        )
        assert share.delta == pytest.approx(u * sigma, rel=1e-9)
        assert share.share == 1.0
    assert {share.market for share in found.shares} == {"BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt"}


def test_a_near_miss(settings: Settings, event: int) -> None:
    found = run_explain(settings, "binance", PAIR, event - 10)
    assert re.fullmatch(r"setup (long|short) since \d\d:\d\d:\d\d, no reset: .*", found.reason)
    assert found.fragility is None


def test_a_veto(settings: Settings, store: EmbeddedBarStore, event: int) -> None:
    """The same records with the perpetual's feed down for a while before the event."""
    holed = MemoryBarStore()
    holed.put_instruments(store.instruments())
    for record in store.records(0, event + 1):
        if event - 30 <= record.second < event - 10:
            down = tuple(name for name in record.covered if "FUTURES" in name)
            up = tuple(name for name in record.covered if name not in down)
            holed.append([msgspec.structs.replace(record, covered=up, uncovered=down)])
        else:
            holed.append([record])
    markets = pair_markets(holed.instruments(), "binance", PAIR, settings.quotes)
    found = explain_pair(holed, PAIR, markets, Params(), HORIZON_S, event)
    assert found.told.decision.veto == "hole_perp_5m"
    assert found.reason.endswith("; not traded: hole_perp_5m, coverage 0.9333 < 0.9800")


def test_an_early_second_says_how_much_is_missing(settings: Settings, store: EmbeddedBarStore) -> None:
    span = store.span()
    assert span is not None
    found = run_explain(settings, "binance", PAIR, span[0] + 999)
    assert re.fullmatch(r"warming up: (1,000|99\d) of 7,200 rows", found.reason)


def test_a_wash_names_the_venue_that_makes_it() -> None:
    records = crowd(1, wash=1)
    held = MemoryBarStore()
    held.put_instruments(INSTRUMENTS)
    held.append(records)
    span = held.span()
    assert span is not None
    scored = Engine().run(final_flow(held, MARKETS, *span))
    second = int(scored.second[np.flatnonzero(scored.event)[0]])
    found = explain_pair(held, PAIR, MARKETS, Params(), HORIZON_S, second)
    assert "fragile: without BYBIT spot the score is" in found.reason
    text = list(text_lines(found))
    assert "fragile" in text
    assert any(line.startswith("  without BYBIT spot: score") and line.endswith("gone") for line in text)
    fifteen = {share.market: share for share in found.shares if share.window == "15m"}
    assert sum(share.share for share in fifteen.values()) == pytest.approx(2.0)


def test_the_command_prints_text_or_json(
    settings: Settings, event: int, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["explain", "--pair", PAIR, "--at", str(event), "--data-dir", str(settings.data_dir)]
    assert main(arguments) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"{PAIR} second {event}: entry ")
    assert "flow by market: volume, share of the class, delta" in out
    assert main([*arguments, "--json"]) == 0
    body = msgspec.json.decode(capsys.readouterr().out)
    parts = {part["name"]: part["points"] for part in body["parts"]}
    assert sum(parts.values()) == pytest.approx(body["score_before_clip"], abs=1e-12)
    assert body["decision"]["score"] == body["score_before_clip"]
    assert (body["pair"], body["second"], body["veto"], body["fragile"]) == (PAIR, event, "", False)
    assert {item["window"] for item in body["markets"]} == {"5m", "15m", "30m", "1h"}


def test_what_cannot_be_explained_is_said(settings: Settings, event: int) -> None:
    with pytest.raises(StoreEmptyError, match=r"second 1 is not in .*store\.sqlite, which holds"):
        run_explain(settings, "binance", PAIR, 1)
    with pytest.raises(UnknownInstrumentError, match="DOGE/USDT"):
        run_explain(settings, "binance", "DOGE/USDT", event)
    with pytest.raises(StoreEmptyError, match="holds no closed second"):
        run_explain(Settings(data_dir=Path("nowhere")), "binance", PAIR, event)
