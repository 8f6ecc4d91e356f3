"""The vocabulary's own small rules."""

from __future__ import annotations

from squeezeflow_plugin.market import Instrument, MarketKind, Trade


def test_a_trade_belongs_to_the_half_open_second_of_its_exchange_time() -> None:
    def at(exchange_ns: int) -> int:
        return Trade("X:y", exchange_ns, "1", 1.0, 1.0, 1.0, 1).second

    assert [at(ns) for ns in (0, 999_999_999, 1_000_000_000)] == [0, 0, 1]


def test_an_instrument_knows_its_exchange() -> None:
    instrument = Instrument("KRAKEN:XBT/USD", "XBT/USD", MarketKind.SPOT, "BTC", "USD", "USD")
    assert instrument.exchange == "KRAKEN"
