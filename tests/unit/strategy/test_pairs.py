"""Which pairs are scored, and what FreqTrade's DataProvider gets of the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.strategy.pairs import LiveCandles, PairChoice, told
from squeezeflow_plugin.strategy.vetoes import REPEAT_S
from tests.reference.flows import noise_frame
from tests.unit.provider.records import INSTRUMENTS, MARKETS, script
from tests.unit.strategy.test_session import PAIR, Stage

PERP = "BTC/USDT:USDT"


def market(base: str, exchange: str = "BINANCE") -> Instrument:
    return Instrument(f"{exchange}:{base.lower()}usdt", f"{base}USDT", MarketKind.SPOT, base, "USDT", "USDT")


KNOWN = [market(base) for base in ("BTC", "ETH", "SOL")]


def test_the_first_known_pairs_are_scored_and_those_that_are_held(caplog: pytest.LogCaptureFixture) -> None:
    choice = PairChoice(Settings(max_symbols=2), "binance")
    whitelist = ["DOGE/USDT", "SOL/USDT", "BTC/USDT", "ETH/USDT"]
    with caplog.at_level(logging.INFO):
        assert list(choice.choose(KNOWN, whitelist, ())) == ["SOL/USDT", "BTC/USDT"]
    assert "no spot market DOGE/USDT of binance is in the store" in caplog.text
    assert "its candles are the exchange's" in caplog.text
    assert "max_symbols is 2: ETH/USDT are not scored" in caplog.text
    assert "SOL/USDT is SOL, priced by BINANCE:solusdt" in caplog.text
    assert list(choice.choose(KNOWN, whitelist, ["ETH/USDT"])) == ["SOL/USDT", "BTC/USDT", "ETH/USDT"]


def test_a_pair_that_comes_or_goes_is_noticed_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    choice = PairChoice(Settings(), "binance")
    assert choice.is_new(["BTC/USDT"], ())
    choice.choose(KNOWN, ["BTC/USDT"], ())
    assert not choice.is_new(["BTC/USDT"], ["BTC/USDT"])
    assert choice.is_new(["BTC/USDT", "ETH/USDT"], ())
    assert choice.is_new(["BTC/USDT"], ["SOL/USDT"])
    caplog.clear()
    with caplog.at_level(logging.INFO):
        choice.choose(KNOWN, ["BTC/USDT", "ETH/USDT"], ())
    assert [line for line in caplog.messages if "BTC/USDT" in line] == [], "told once"


def test_a_reference_market_can_be_named() -> None:
    elsewhere = market("BTC", "KRAKEN")
    settings = Settings(references={"BTC/EUR": elsewhere.market})
    found = PairChoice(settings, "luno").find([*KNOWN, elsewhere], "BTC/EUR")
    assert found is not None
    assert (found.reference, found.spot) == (elsewhere.market, ("BINANCE:btcusdt", elsewhere.market))
    assert PairChoice(settings, "luno").find(KNOWN, "BTC/EUR") is None


def test_what_is_told_names_every_market() -> None:
    line = told(PAIR, MARKETS)
    assert all(name in line for name in (PAIR, *MARKETS.all))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    recorded = script(noise_frame(3, 8_000), seed=3)
    made = Stage(recorded, recorded.records[-1].second - 60, tmp_path)
    yield made
    made.session.close()


def test_another_market_of_the_store_has_candles_from_when_it_is_asked_for(stage: Stage) -> None:
    source = LiveCandles(stage.session, PairChoice(stage.settings, "binance"))
    assert list(source.pairs) == [PAIR]
    assert source.serves(PERP)
    assert not source.serves("DOGE/USDT")
    before = source.candles(PERP, 60)
    stage.session.advance(())
    after = source.candles(PERP, 60)
    assert len(before) > 100
    last = stage.session.desk.next_second - 1
    assert int(after["date"].iloc[-1].timestamp()) == last - last % 60
    flow: Flow = stage.session.seconds(PAIR, last, last + 1)
    assert source.candles(PERP, 1)["perp_buy"].iloc[-1] == flow.perp_buy[-1]
    with pytest.raises(KeyError):
        source.candles("DOGE/USDT", 60)


def test_a_pair_that_comes_back_has_its_veto_named_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = script(noise_frame(3, 8_000), seed=3)
    stage = Stage(recorded, recorded.records[-1].second - 2 * REPEAT_S, tmp_path)
    both = {PAIR: MARKETS, PERP: replace(MARKETS, perp=("BYBIT:btcusdt",))}
    caplog.set_level(logging.WARNING)
    for scored in (both, {PAIR: MARKETS}, both):
        stage.session.score(scored, ())
        for _ in range(REPEAT_S // 2 + 1):
            stage.session.advance(())
    stage.session.close()
    named = [line for line in caplog.messages if line.startswith(PERP) and "no entries" in line]
    assert len(named) == 2, caplog.messages


def test_pairs_come_and_go_while_the_session_runs(stage: Stage) -> None:
    choice = PairChoice(stage.settings, "binance")
    both = choice.choose(INSTRUMENTS, [PAIR, PERP], ())
    stage.session.advance(())
    stage.session.score(both, ())
    stage.session.advance(())
    assert list(stage.session.pairs) == [PAIR, PERP]
    newest = {row.pair: row.second for row in stage.log.newest()}
    assert newest[PERP] == newest[PAIR] == stage.session.desk.next_second - 1
    stage.session.score({PERP: both[PERP]}, ())
    stage.session.advance(())
    assert list(stage.session.pairs) == [PERP]
    assert stage.session.reason(PAIR) == "no decision"
