"""Answers as the exchanges' documentation shows them, and what is read out of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.ticker_sources import SOURCES
from squeezeflow_plugin.feeds.tickers import Readings, daily_volumes, read_tickers
from squeezeflow_plugin.market import DerivativeTicker, Instrument
from tests.ticker_answers import CASES, MS, NOW, SPOT


def instrument(market: str) -> Instrument:
    found = registry.classify(market)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("market", "answers", "base", "usd", "funding", "volume"), CASES, ids=[case[0] for case in CASES]
)
def test_open_interest_and_funding_are_read(
    market: str, answers: Mapping[str, Any], base: float, usd: float, funding: float, volume: float
) -> None:
    known = instrument(market)
    readings = Readings([known])
    found: list[DerivativeTicker] = []
    volumes: dict[str, float] = {}
    asked = []
    for source in SOURCES[known.exchange]:
        requests = source.requests([known], None)
        assert bool(requests) == source.suits(known)
        if requests:
            asked.append(source.path)
            tickers = read_tickers(known.exchange, source, json.dumps(answers[source.path]).encode())
            found += readings.take(tickers, NOW)
            if source.has_volume:
                volumes |= daily_volumes([known], source, tickers)
    assert set(asked) == set(answers)
    assert found, "open interest was told"
    ticker = found[-1]
    assert ticker.market == market
    assert ticker.exchange_ns in {MS * 1_000_000, NOW}
    assert (ticker.interest_base, ticker.interest_usd) == pytest.approx((base, usd))
    assert ticker.funding_rate == pytest.approx(funding, nan_ok=True)
    assert volumes == {market: pytest.approx(volume)}


@pytest.mark.parametrize(("market", "path", "answer", "volume"), SPOT, ids=[case[0] for case in SPOT])
def test_the_volume_of_spot_markets_is_read(market: str, path: str, answer: Any, volume: float) -> None:
    known = instrument(market)
    (source,) = (each for each in SOURCES[known.exchange] if each.spot and each.path == path)
    tickers = read_tickers(known.exchange, source, json.dumps(answer).encode())
    assert daily_volumes([known], source, tickers) == {market: pytest.approx(volume)}


def test_every_exchange_with_contracts_tells_open_interest() -> None:
    for name in registry.names():
        has_contracts = name not in {"BINANCE", "BITSTAMP"}
        assert any(source.has_interest for source in SOURCES[name]) is has_contracts, name
        assert any(source.has_volume for source in SOURCES[name]), name


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"result":null}', b'{"result":{"list":7}}', b"\xff"]
)
def test_an_answer_of_another_shape_is_refused_or_holds_nothing(body: bytes) -> None:
    for exchange, sources in SOURCES.items():
        for source in sources:
            try:
                tickers = read_tickers(exchange, source, body)
            except FeedProtocolError as error:
                refused = str(error)
                assert exchange in refused, refused
                assert source.path in refused
            else:
                assert Readings([]).take(tickers, NOW) == ()
                assert all(math.isnan(ticker.base) and not ticker.exchange_ns for ticker in tickers)


def test_rows_that_say_nothing_sound_are_passed_over() -> None:
    (source,) = (s for s in SOURCES["BYBIT"] if s.inverse is False)
    rows = [
        7, {"symbol": 7}, {"symbol": "ETHUSDT", "openInterest": "1"},
        {"symbol": "BTCUSDT", "openInterest": "x"}, {"symbol": "BTCUSDT", "openInterest": "-1"},
        {"symbol": "BTCUSDT", "openInterest": True},
    ]  # fmt: skip  # a line a kind
    tickers = read_tickers("BYBIT", source, json.dumps({"result": {"list": rows}}).encode())
    assert Readings([instrument("BYBIT:BTCUSDT")]).take(tickers, NOW) == ()


def test_stand_in_urls_take_the_exchanges_place() -> None:
    known = instrument("BINANCE_FUTURES:btcusdt")
    urls = [
        request.url
        for source in SOURCES["BINANCE_FUTURES"]
        for request in source.requests([known], "http://127.0.0.1:1/x/")
    ]
    assert urls[0] == "http://127.0.0.1:1/x/fapi/v1/premiumIndex"
    (per_symbol,) = (s for s in SOURCES["BINANCE_FUTURES"] if s.symbol_param and not s.inverse)
    assert per_symbol.requests([known], None)[0].params == (("symbol", "BTCUSDT"),)
