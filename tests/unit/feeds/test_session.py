"""What the exchanges' sessions share."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.feeds import session
from squeezeflow_plugin.feeds.registry import adapter
from squeezeflow_plugin.feeds.session import Market, Markets

T = 1_767_225_600_123


def frame(instrument: str, price: str, size: str, count: int = 1) -> str:
    trade = {"instId": instrument, "tradeId": "7", "px": price, "sz": size, "side": "sell", "ts": str(T)}
    data = [{**trade, "count": str(count)}]
    return json.dumps({"arg": {"channel": "trades", "instId": instrument}, "data": data})


def amounts() -> st.SearchStrategy[str]:
    return st.decimals("0.00000001", "1000000", places=8).map(lambda value: format(value, "f"))


@given(amounts(), amounts(), st.integers(1, 1000))
def test_sizes_become_base_units_and_notional(price: str, size: str, count: int) -> None:
    """Linear: so many base units a contract; inverse: so many dollars."""
    (linear,) = adapter("OKEX").parse(frame("BTC-USDT-SWAP", price, size, count), 0).trades
    assert linear.size == float(size) * 0.01
    assert linear.quote == linear.size * float(price)
    (inverse,) = adapter("OKEX").parse(frame("BTC-USD-SWAP", price, size, count), 0).trades
    assert inverse.quote == float(size) * 100
    assert inverse.size == inverse.quote / float(price)
    assert linear.count == inverse.count == count


def test_symbols_without_end_are_read_but_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_MARKETS", 3)
    markets = Markets(lambda symbol: f"X:{symbol}", lambda _: None)
    assert [markets[f"A{number}"] for number in range(10)] == [Market(f"X:A{number}") for number in range(10)]
    assert len(markets) == 3
    monkeypatch.undo()
    assert markets["A" * 101].name == "X:" + "A" * 101
    assert len(markets) == 3


@pytest.mark.parametrize(
    ("price", "size"), [("1e300", "1e300"), ("1e-300", "1e-300"), ("inf", "1"), ("1", "inf"), ("nan", "1")]
)
def test_a_notional_no_float_holds_is_rejected_and_told(price: str, size: str) -> None:
    parsed = adapter("OKEX").parse(frame("BTC-USDT", price, size), 0)
    assert not parsed.trades
    assert len(parsed.rejected) == 1


def test_a_date_in_another_unit_is_rejected_and_told() -> None:
    spoilt = frame("BTC-USDT", "1", "1").replace(str(T), str(T // 1000))
    (reason,) = adapter("OKEX").parse(spoilt, 0).rejected
    assert "field ts was" in reason
    (reason,) = adapter("OKEX").parse(frame("BTC-USDT", "1", "1"), (T - 3_600_001) * 1_000_000).rejected
    assert "more than an hour after it was received" in reason
