"""What every market named in the exchange facts is, by its name alone; many programs get some wrong."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.feeds.registry import adapter, classify, names

MARKETS = """
BINANCE:btcusdt                      spot    BTC  USDT  USDT  linear
BINANCE:ethbtc                       spot    ETH  BTC   BTC   linear
BINANCE:dotusdc                      spot    DOT  USDC  USDC  linear
BINANCE_FUTURES:btcusdt              perp    BTC  USDT  USDT  linear
BINANCE_FUTURES:btcusdt_260327       future  BTC  USDT  USDT  linear
BINANCE_FUTURES:btcusd_perp          perp    BTC  USD   BTC   inverse
BINANCE_FUTURES:ethusd_260327        future  ETH  USD   ETH   inverse
BYBIT:BTCUSDT-SPOT                   spot    BTC  USDT  USDT  linear
BYBIT:BTCUSDC-SPOT                   spot    BTC  USDC  USDC  linear
BYBIT:BTCUSDT                        perp    BTC  USDT  USDT  linear
BYBIT:BTCUSD                         perp    BTC  USD   BTC   inverse
BYBIT:DOTUSD                         perp    DOT  USD   DOT   inverse
BYBIT:BTCPERP                        perp    BTC  USDC  USDC  linear
BYBIT:BTCUSDH26                      future  BTC  USD   BTC   inverse
BYBIT:BTC-27MAR26                    future  BTC  USDC  USDC  linear
BYBIT:BTCUSDT-27MAR26                future  BTC  USDT  USDT  linear
BYBIT:BTCUSDE-SPOT                   spot    BTC  USDE  USDE  linear
BINANCE:btcusd1                      spot    BTC  USD1  USD1  linear
BINANCE:usdtzar                      spot    USDT ZAR   ZAR   linear
BINANCE_FUTURES:1000pepeusdc         perp    1000PEPE USDC USDC linear
OKEX:BTC-USD_UM-SWAP                 perp    BTC  USD   USD   linear
OKEX:BTC-USD_UM-260327               future  BTC  USD   USD   linear
HUOBI:BTC-USDT-CQ                    future  BTC  USDT  USDT  linear
CRYPTOCOM:BTCUSD-270326M2            future  BTC  USD   USD   linear
GATEIO:BTC_USD1-SPOT                 spot    BTC  USD1  USD1  linear
OKEX:BTC-USDT                        spot    BTC  USDT  USDT  linear
OKEX:BTC-USDT-SWAP                   perp    BTC  USDT  USDT  linear
OKEX:BTC-USD-SWAP                    perp    BTC  USD   BTC   inverse
OKEX:BTC-USD-260327                  future  BTC  USD   BTC   inverse
OKEX:BTC-USDT-260327                 future  BTC  USDT  USDT  linear
COINBASE:BTC-USD                     spot    BTC  USD   USD   linear
COINBASE:BTC-PERP-INTX               perp    BTC  USDC  USDC  linear
KRAKEN:XBT/USD                       spot    BTC  USD   USD   linear
KRAKEN:XDG/EUR                       spot    DOGE EUR   EUR   linear
KRAKEN:PI_XBTUSD                     perp    BTC  USD   BTC   inverse
KRAKEN:PF_XBTUSD                     perp    BTC  USD   USD   linear
KRAKEN:FI_BCHUSD_210730              future  BCH  USD   BCH   inverse
KRAKEN:FF_XBTUSD_260327              future  BTC  USD   USD   linear
HYPERLIQUID:BTC                      perp    BTC  USDC  USDC  linear
HYPERLIQUID:PURR/USDC                spot    PURR USDC  USDC  linear
BITGET:BTCUSDT-SPOT                  spot    BTC  USDT  USDT  linear
BITGET:BTCUSDT                       perp    BTC  USDT  USDT  linear
BITGET:BTCUSD                        perp    BTC  USD   BTC   inverse
BITGET:BTCPERP                       perp    BTC  USDC  USDC  linear
BITGET:BTCUSDZ26                     future  BTC  USD   BTC   inverse
DERIBIT:BTC-PERPETUAL                perp    BTC  USD   BTC   inverse
DERIBIT:BTC_USDC-PERPETUAL           perp    BTC  USDC  USDC  linear
DERIBIT:BTC-27MAR26                  future  BTC  USD   BTC   inverse
DERIBIT:BTC_USDC                     spot    BTC  USDC  USDC  linear
GATEIO:BTC_USDT-SPOT                 spot    BTC  USDT  USDT  linear
GATEIO:BTC_USDT                      perp    BTC  USDT  USDT  linear
GATEIO:BTC_USD                       perp    BTC  USD   BTC   inverse
GATEIO:BTC_USD_20260327              future  BTC  USD   BTC   inverse
KUCOIN:BTC-USDT                      spot    BTC  USDT  USDT  linear
KUCOIN:XBTUSDTM                      perp    BTC  USDT  USDT  linear
KUCOIN:XBTUSDM                       perp    BTC  USD   BTC   inverse
KUCOIN:XBTMH26                       future  BTC  USD   BTC   inverse
HUOBI:btcusdt                        spot    BTC  USDT  USDT  linear
HUOBI:BTC-USD                        perp    BTC  USD   BTC   inverse
HUOBI:BTC-USDT                       perp    BTC  USDT  USDT  linear
HUOBI:BTC_CQ                         future  BTC  USD   BTC   inverse
HUOBI:BTC-USDT-260327                future  BTC  USDT  USDT  linear
BITFINEX:BTCUSD                      spot    BTC  USD   USD   linear
BITFINEX:BTCUST                      spot    BTC  USDT  USDT  linear
BITFINEX:AVAX:USD                    spot    AVAX USD   USD   linear
BITFINEX:BTCF0:USTF0                 perp    BTC  USDT  USDT  linear
BITSTAMP:btcusd                      spot    BTC  USD   USD   linear
BITSTAMP:dotusd                      spot    DOT  USD   USD   linear
CRYPTOCOM:BTC_USDT                   spot    BTC  USDT  USDT  linear
CRYPTOCOM:BTCUSD-PERP                perp    BTC  USD   USD   linear
CRYPTOCOM:BTCUSD-260327              future  BTC  USD   USD   linear
MEXC:BTCUSDT                         spot    BTC  USDT  USDT  linear
MEXC:BTC_USDT                        perp    BTC  USDT  USDT  linear
MEXC:BTC_USD                         perp    BTC  USD   BTC   inverse
PHEMEX:sBTCUSDT                      spot    BTC  USDT  USDT  linear
PHEMEX:BTCUSDT                       perp    BTC  USDT  USDT  linear
PHEMEX:BTCUSD                        perp    BTC  USD   BTC   inverse
PHEMEX:cETHUSD                       perp    ETH  USD   ETH   inverse
PHEMEX:uBTCUSD                       perp    BTC  USD   USD   linear
PHEMEX:LINKUSD                       perp    LINK USD   USD   linear
DYDX:BTC-USD                         perp    BTC  USD   USDC  linear
DYDX:BUFFI,UNISWAP_V3,0X4C1B-USD     perp    BUFFI USD  USDC  linear
ASTER:BTCUSDT                        perp    BTC  USDT  USDT  linear
ASTER:ETHUSDC                        perp    ETH  USDC  USDC  linear
"""
TABLE = [line.split() for line in MARKETS.split("\n") if line]
NOTHING = [
    "NOWHERE:BTCUSDT",
    "BINANCE:usdt",
    "BINANCE_FUTURES:btcusdt_x",
    "BYBIT:BTC-27MAR26-100000-C",
    "BYBIT:USDT-SPOT",
    "OKEX:BTC-USD-260327-90000-C",
    "OKEX:BTC",
    "COINBASE:BTC",
    "KRAKEN:PI_XBTUSD_260327",
    "KRAKEN:FI_XBTUSD",
    "KRAKEN:rr_xbtusd",
    "HYPERLIQUID:@107",
    "HYPERLIQUID:",
    "BITGET:NOTHING",
    "DERIBIT:BTC-27MAR26-90000-C",
    "DERIBIT:BTC-FS-27MAR26_PERP",
    "GATEIO:BTCUSDT",
    "KUCOIN:BTCUSDT",
    "HUOBI:BTC-USDT-260327-C-90000",
    "HUOBI:BTCUSDT",
    "BITFINEX:BTCF0:USD",
    "BITSTAMP:btc",
    "CRYPTOCOM:BTCUSD",
    "MEXC:USDT",
    "MEXC:BTC_",
    "PHEMEX:sUSDT",
    "PHEMEX:cETHUSDT",
    "DYDX:BTC",
    "DYDX:-USD",
    "ASTER:USDT",
]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_a_market_is_what_it_is(row: list[str]) -> None:
    market, kind, base, quote, settle, style = row
    instrument = classify(market)
    assert instrument is not None
    assert instrument.market == market
    assert (instrument.kind.value, instrument.base, instrument.quote) == (kind, base, quote)
    assert (instrument.settle, instrument.inverse) == (settle, style == "inverse")


@pytest.mark.parametrize("market", NOTHING)
def test_a_name_that_says_nothing_is_not_guessed(market: str) -> None:
    assert classify(market) is None


def test_every_exchange_is_in_the_table_and_leaves_the_others_alone() -> None:
    assert {row[0].partition(":")[0] for row in TABLE} == set(names())
    for name in names():
        assert adapter(name).classify("NOWHERE:BTCUSDT") is None


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_a_plan_can_be_made_of_what_a_name_says(row: list[str]) -> None:
    instrument = classify(row[0])
    assert instrument is not None
    plans = adapter(instrument.exchange).plan([instrument])
    assert [market for plan in plans for market in plan.markets] == [instrument.market]
