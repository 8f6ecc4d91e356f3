"""The quick way and the careful way through a Binance frame must agree, and memory must stay bounded."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.feeds import binance_wire
from squeezeflow_plugin.feeds.adapter import Parsed
from squeezeflow_plugin.feeds.registry import adapter

T = 1_767_225_600_000


def amounts() -> st.SearchStrategy[str]:
    return st.decimals("0.00000001", "1000000", places=8).map(lambda value: format(value, "f"))


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    symbol = draw(st.sampled_from(["BTCUSDT", "ETHUSDC", "BTCUSDT_260327", "BTCUSD_PERP", "ETHUSD_260327"]))
    event = {
        "e": "trade",
        "E": T,
        "s": symbol,
        "t": draw(st.integers(0, 2**53)),
        "p": draw(amounts()),
        "q": draw(amounts()),
        "T": T + draw(st.integers(0, 10**9)),
        "m": draw(st.booleans()),
    }
    if draw(st.booleans()):
        event["X"] = draw(st.sampled_from(["MARKET", "RPI", "ADL", "NA"]))
    return event


@given(events(), st.booleans(), st.booleans())
def test_every_spelling_of_an_event_yields_the_same(
    event: dict[str, Any], received: bool, backwards: bool
) -> None:
    """Compact, spaced, enveloped, turned round, as bytes: from a session that is used to any of them."""
    compact = json.dumps(event, separators=(",", ":"))
    turned = dict(reversed(event.items())) if backwards else event
    spellings: list[str | bytes] = [
        compact,
        compact.encode(),
        json.dumps(turned),
        json.dumps({"stream": "x@trade", "data": turned}, separators=(",", ":")),
        json.dumps({"data": turned, "stream": "x@trade"}),
        "\n " + compact + " ",
    ]
    received_ns = (event["T"] + 20) * 1_000_000 if received else 0
    alone = adapter("BINANCE_FUTURES").parse(compact, received_ns)
    session = adapter("BINANCE_FUTURES").session()
    for spelling in [*spellings, *reversed(spellings)]:
        assert session.parse(spelling, received_ns) == alone


@given(events())
def test_a_trade_is_its_fields(event: dict[str, Any]) -> None:
    parsed = adapter("BINANCE_FUTURES").parse(json.dumps(event), 0)
    if event.get("X", "MARKET") not in {"MARKET", "RPI"}:
        assert parsed.trades == ()
        assert parsed.left_out[0].trade_id == str(event["t"])
        return
    (trade,) = parsed.trades
    price, quantity = float(event["p"]), float(event["q"])
    contract = {"BTCUSD_PERP": 100.0, "ETHUSD_260327": 10.0}.get(event["s"])
    quote = quantity * contract if contract else price * quantity
    assert (trade.price, trade.quote) == (price, quote)
    assert trade.size == (quote / price if contract else quantity)
    assert (trade.exchange_ns, trade.side) == (event["T"] * 1_000_000, -1 if event["m"] else 1)


@given(events(), st.integers(0, 999), st.booleans())
def test_recorders_spellings_of_a_trade_yield_the_same_from_the_first_frame_on(
    event: dict[str, Any], microseconds: int, enveloped: bool
) -> None:
    """Numbers for texts, texts for numbers, microseconds for milliseconds, an array of one."""
    session = adapter("BINANCE_FUTURES").session()
    (told,) = (adapter("BINANCE_FUTURES").parse(json.dumps(event), 0),)
    fine = {**event, "T": event["T"] * 1000 + microseconds}
    spellings = [
        {**event, "p": float(event["p"]), "q": float(event["q"])},
        {**event, "t": str(event["t"]), "T": str(event["T"])},
        [event],
        {**fine, "E": fine["T"]},
    ]
    for spelling in [*spellings, *reversed(spellings)]:
        body = {"stream": "x@trade", "data": spelling} if enveloped else spelling
        parsed = session.parse(json.dumps(body), 0)
        trades = tuple(
            msgspec.structs.replace(trade, exchange_ns=event["T"] * 1_000_000) for trade in parsed.trades
        )
        assert msgspec.structs.replace(parsed, trades=trades) == told
        if isinstance(spelling, dict) and spelling["T"] == fine["T"] and trades:
            assert parsed.trades[0].exchange_ns == fine["T"] * 1000


def test_a_liquidation_has_the_same_id_whenever_it_is_read() -> None:
    order = {"s": "BTCUSDT", "S": "BUY", "q": "0.5", "p": "2.0", "ap": "2.1", "T": T}
    frame = json.dumps({"e": "forceOrder", "E": T, "o": order})
    ids = {adapter("BINANCE_FUTURES").parse(frame, now).trades[0].trade_id for now in (0, T * 10**6)}
    assert ids == {f"{T}-BUY-2.0-0.5-2.1"}
    other = json.dumps({"e": "forceOrder", "E": T, "o": {**order, "q": "0.6"}})
    assert adapter("BINANCE_FUTURES").parse(other, 0).trades[0].trade_id not in ids


def test_symbols_without_end_are_read_but_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_wire, "MAX_MARKETS", 3)
    session = adapter("BINANCE").session()
    assert isinstance(session, binance_wire.BinanceSession)
    for number in range(10):
        frame = json.dumps({"e": "trade", "s": f"A{number}", "t": 1, "p": "1", "q": "1", "T": T, "m": True})
        parsed = session.parse(frame, 0)
        assert isinstance(parsed, Parsed)
        assert parsed.trades[0].market == f"BINANCE:a{number}"
    assert len(session._markets) == 3
