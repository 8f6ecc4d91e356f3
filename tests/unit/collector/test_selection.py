"""Which markets are collected, and what is said about the others."""

from __future__ import annotations

from squeezeflow_plugin.collector.selection import select_markets
from squeezeflow_plugin.market import Instrument, MarketKind

SPOT, PERP, FUTURE = MarketKind.SPOT, MarketKind.PERP, MarketKind.FUTURE
KNOWN = {
    "BINANCE": [
        Instrument("BINANCE:ethusdt", "ETHUSDT", SPOT, "ETH", "USDT", "USDT"),
        Instrument("BINANCE:btcusdt", "BTCUSDT", SPOT, "BTC", "USDT", "USDT"),
        Instrument("BINANCE:btcfdusd", "BTCFDUSD", SPOT, "BTC", "FDUSD", "FDUSD"),
        Instrument("BINANCE:btceur", "BTCEUR", SPOT, "BTC", "EUR", "EUR"),
        Instrument("BINANCE:ethbtc", "ETHBTC", SPOT, "ETH", "BTC", "BTC"),
    ],
    "BINANCE_FUTURES": [
        Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", PERP, "BTC", "USDT", "USDT"),
        Instrument("BINANCE_FUTURES:btcusd_perp", "BTCUSD_PERP", PERP, "BTC", "USD", "BTC", 100.0, True),
        Instrument("BINANCE_FUTURES:btcusdt_260327", "BTCUSDT_260327", FUTURE, "BTC", "USDT", "USDT"),
    ],
}


def test_spot_and_perpetual_markets_in_dollars_are_taken() -> None:
    selection = select_markets(KNOWN, ["BTC"], ["USDT", "FDUSD", "USD"])
    assert [i.market for i in selection.instruments] == [
        "BINANCE:btcfdusd",
        "BINANCE:btcusdt",
        "BINANCE_FUTURES:btcusd_perp",
        "BINANCE_FUTURES:btcusdt",
    ]
    assert selection.gaps == ()
    quotes, dated = selection.notes
    assert (
        quotes == "BINANCE: 1 markets of the assets left out, their quote is none of USDT, FDUSD, USD: btceur"
    )
    assert dated.startswith("BINANCE_FUTURES: 1 markets of the assets left out, dated contracts")
    assert dated.endswith(": btcusdt_260327")


def test_what_is_missing_for_the_method_is_named() -> None:
    selection = select_markets(KNOWN, ["ETH", "NOPE"], ["USDT"])
    assert [i.market for i in selection.instruments] == ["BINANCE:ethusdt"]
    assert [gap.partition(" on ")[0] for gap in selection.gaps] == [
        "ETH has no perp market",
        "NOPE has no spot market",
        "NOPE has no perp market",
    ]
