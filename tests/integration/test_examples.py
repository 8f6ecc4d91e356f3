"""Each example does what its page says: a strategy's weights, a store as tables, an exchange in one file."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from freqtrade.enums import RunMode
from freqtrade.resolvers import StrategyResolver

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds import exchanges, registry
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.market import NS_PER_SECOND, MarketKind
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.simulator.run import SimulatorOptions, write_hours

EXAMPLES = Path(__file__).parents[2] / "examples"
STOP_NS = 1_767_225_600 * NS_PER_SECOND


def test_the_strategy_is_found_by_freqtrade_and_weighs_otherwise() -> None:
    config = {
        "strategy": "PatientFlow",
        "strategy_path": str(EXAMPLES),
        "user_data_dir": EXAMPLES,
        "runmode": RunMode.OTHER,
        "stake_currency": "USDT",
        "stake_amount": 100,
    }
    bot = StrategyResolver.load_strategy(config)
    params = Params.from_mapping(bot.tuned(Settings()).method)
    assert params == Params(weights=(2.5, 3.0, 2.5, 2.0), min_score=5.0, min_hold=120)


def test_the_stores_bars_and_scores_are_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "store.sqlite"
    write_hours(SimulatorOptions(assets=("BTC",), hours=3, store=path), SteppedClock(STOP_NS))
    scores = importlib.import_module("examples.read_store").main(str(path))
    assert len(scores) == 3 * 3600
    assert scores["ready"].any()
    assert scores["score"].between(0, 10).all()
    out = capsys.readouterr().out
    assert "BINANCE:btcusdt" in out
    assert "0 of 10800 seconds lack a spot market" in out
    with pytest.raises(SystemExit, match="holds no second yet"):
        importlib.import_module("examples.read_store").main(str(tmp_path / "none.sqlite"))


@pytest.fixture
def example_exchange(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The registry with the file in its folder."""
    (tmp_path / "my_exchange.py").write_bytes((EXAMPLES / "my_exchange.py").read_bytes())
    monkeypatch.setattr(exchanges, "__path__", [*exchanges.__path__, str(tmp_path)])
    registry.found.cache_clear()
    yield "EXAMPLE"
    registry.found.cache_clear()


def test_the_exchange_is_found_by_its_file_and_reads_what_it_says(example_exchange: str) -> None:
    assert example_exchange in registry.names()
    adapter = registry.adapter(example_exchange)
    (request,) = adapter.instrument_requests()
    body = msgspec.json.encode([{"name": "BTC-USD", "base": "BTC", "quote": "USD"}])
    instruments = adapter.parse_instruments(body, request)
    assert instruments == (adapter.classify("EXAMPLE:BTC-USD"),)
    (plan,) = adapter.plan(instruments)
    assert plan.subscribe[0].text == '{"subscribe":"trade.BTC-USD"}'
    session = adapter.session(plan)
    assert session.parse('{"subscribed":"trade.BTC-USD"}', 0).subscribed == ("EXAMPLE:BTC-USD",)
    good = {"seq": 1, "ms": 1_767_225_600_000, "px": 2, "qty": 3, "taker": "buy"}
    broken = {**good, "px": -1}
    parsed = session.parse(msgspec.json.encode({"topic": "trade.BTC-USD", "rows": [broken, good]}), 0)
    assert [(trade.side, trade.quote) for trade in parsed.trades] == [(1, 6.0)]
    assert len(parsed.rejected) == 1
    assert adapter.contiguous_ids == frozenset({MarketKind.SPOT})
    for answer in (b"[]", b"{"):
        with pytest.raises(FeedProtocolError):
            adapter.parse_instruments(answer, RestRequest("GET", "https://api.example"))
    with pytest.raises(FeedProtocolError):
        session.parse('{"hello":1}', 0)


def test_the_examples_own_words_hold() -> None:
    module = importlib.import_module("examples.my_exchange")
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0
