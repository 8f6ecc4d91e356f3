"""Which collected exchanges stand behind an exchange's name in FreqTrade, and what an asset is called where.

FreqTrade names exchanges as ccxt does; markets are named as aggr-server names them. An exchange that is not
in the table is looked for under its own name in capital letters. What is traded on an exchange without a
market in the store can stand on another's: settings name that *reference market* for a pair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_BINANCE = ("BINANCE", "BINANCE_FUTURES")
VENUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "binance": _BINANCE,
        "binanceus": ("BINANCE_US",),
        "binanceusdm": ("BINANCE_FUTURES",),
        "bingx": ("BINGX",),
        "bitfinex": ("BITFINEX",),
        "bitget": ("BITGET",),
        "bitmart": ("BITMART",),
        "bitstamp": ("BITSTAMP",),
        "bybit": ("BYBIT",),
        "bybiteu": ("BYBIT",),
        "coinbase": ("COINBASE",),
        "coinbaseadvanced": ("COINBASE",),
        "coinbaseexchange": ("COINBASE",),
        "cryptocom": ("CRYPTOCOM",),
        "deribit": ("DERIBIT",),
        "dydx": ("DYDX",),
        "gate": ("GATEIO",),
        "gateeu": ("GATEIO",),
        "gateio": ("GATEIO",),
        "htx": ("HUOBI",),
        "huobi": ("HUOBI",),
        "hyperliquid": ("HYPERLIQUID",),
        "kraken": ("KRAKEN",),
        "krakenfutures": ("KRAKEN",),
        "kucoin": ("KUCOIN",),
        "kucoineu": ("KUCOIN",),
        "kucoinfutures": ("KUCOIN",),
        "mexc": ("MEXC",),
        "myokx": ("OKEX",),
        "okx": ("OKEX",),
        "okxus": ("OKEX",),
        "phemex": ("PHEMEX",),
    }
)
"""FreqTrade's exchange to aggr-server's, those whose prices are the same or another entity's of one group."""

_MULTIPLE = re.compile(r"(?:10{3,6}|1M|k)(?=[A-Z]{3})")
_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}


def venues_of(exchange: str) -> tuple[str, ...]:
    """The collected exchanges behind FreqTrade's name of one.

    >>> venues_of("okx"), venues_of("Binance"), venues_of("luno")
    (('OKEX',), ('BINANCE', 'BINANCE_FUTURES'), ('LUNO',))
    """
    return VENUES.get(exchange.lower(), (exchange.upper(),))


def asset_of(base: str) -> str:
    """The asset behind a market's base: contracts on a thousand or a million units count as the unit.

    Flows are in quote currency, so they add up whatever the unit.

    >>> [asset_of(base) for base in ("PEPE", "1000PEPE", "1000000MOG", "kPEPE", "1INCH", "XBT")]
    ['PEPE', 'PEPE', 'MOG', 'PEPE', '1INCH', 'BTC']
    """
    plain = _MULTIPLE.sub("", base, count=1) if _MULTIPLE.match(base) else base
    return _ALIASES.get(plain, plain)
