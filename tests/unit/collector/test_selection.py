"""Which markets are collected, and what is said about the others."""

from __future__ import annotations

from squeezeflow_plugin.collector.selection import (
    Wanted,
    crowded_exchanges,
    in_shard,
    select_markets,
)
from squeezeflow_plugin.market import Instrument, MarketKind

SPOT, PERP, FUTURE = MarketKind.SPOT, MarketKind.PERP, MarketKind.FUTURE
SHARD_OF_BTC = 3  # of three; it must be so in every version, or markets change hands
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
    selection = select_markets(KNOWN, Wanted(("BTC",), ("USDT", "FDUSD", "USD")))
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
    selection = select_markets(KNOWN, Wanted(("ETH", "NOPE"), ("USDT",)))
    assert [i.market for i in selection.instruments] == ["BINANCE:ethusdt"]
    assert [gap.partition(" on ")[0] for gap in selection.gaps] == [
        "ETH has no perp market",
        "NOPE has no spot market",
        "NOPE has no perp market",
    ]


def test_the_largest_markets_come_first_where_there_are_too_many() -> None:
    volumes = {"BINANCE:btcfdusd": 9.0, "BINANCE:btcusdt": 3.0, "BINANCE_FUTURES:btcusdt": 8.0}
    wanted = Wanted(("BTC",), ("USDT", "FDUSD", "USD"), per_asset=1, volumes=volumes)
    selection = select_markets(KNOWN, wanted)
    assert [i.market for i in selection.instruments] == ["BINANCE:btcfdusd", "BINANCE_FUTURES:btcusdt"]
    assert "BTC: 1 spot markets left out, 1 others are larger: BINANCE:btcusdt" in selection.notes
    assert crowded_exchanges(KNOWN, wanted) == {"BINANCE", "BINANCE_FUTURES"}
    assert crowded_exchanges(KNOWN, Wanted(("BTC",), ("USDT",), per_asset=1)) == set()
    assert crowded_exchanges(KNOWN, Wanted(("BTC",), ("USDT", "FDUSD"), per_asset=1)) == {"BINANCE"}


def test_markets_named_one_by_one_are_taken_alone_and_unknown_ones_named() -> None:
    names = ("BINANCE:btceur", "BINANCE:gone", "BINANCE_FUTURES:btcusdt_260327", "BINANCE:btceur")
    selection = select_markets(KNOWN, Wanted(("ETH",), ("USDT",), names))
    assert [i.market for i in selection.instruments] == ["BINANCE:btceur"]
    assert selection.notes == (
        "BINANCE_FUTURES:btcusdt_260327 left out, dated contracts are no part of the method",
        "BINANCE:gone left out, its exchange has no such open market",
    )
    assert selection.gaps[0].startswith("BTC has no perp market on")


def test_shards_split_the_markets_between_them_and_for_good() -> None:
    markets = [f"BINANCE:coin{number}usdt" for number in range(300)]
    for parts in (1, 2, 3, 7):
        split = [[m for m in markets if in_shard(m, part, parts)] for part in range(1, parts + 1)]
        assert sorted(market for part in split for market in part) == sorted(markets)
        assert min(map(len, split)) > 0.5 * 300 / parts
    assert [part for part in (1, 2, 3) if in_shard("BINANCE:btcusdt", part, 3)] == [SHARD_OF_BTC]
