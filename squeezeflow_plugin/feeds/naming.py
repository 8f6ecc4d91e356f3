"""What names of markets say, where the exchange's own metadata is not at hand.

Names are spelled in many ways and some are ambiguous, so this is only the fall-back: metadata decides.
"""

from __future__ import annotations

import re

QUOTES = (
    *("USDT", "USDC", "FDUSD", "USDD", "USDE", "USDQ", "USDK", "USDP", "USD1", "RLUSD", "PYUSD", "DAI"),
    *("USDS", "USDR", "USDG", "EURC", "EURT", "EURI", "EURQ", "UST", "UDC", "PAX", "BRZ", "IDRT"),
    *("USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "TRY", "BRL", "KRW", "PLN", "AED", "MXN", "ARS"),
    *("ZAR", "COP", "CZK", "RON", "UAH", "IDR", "NGN", "RUB", "INR", "HKD", "SGD", "NZD", "VND", "THB"),
    *("BTC", "XBT", "ETH", "BNB", "SOL", "KCS", "TRX", "MNT", "BGB", "XRP", "DOGE"),
)
"""What markets are quoted in. TUSD and BUSD are not among them: ``DOTUSD`` is DOT in US dollars. On an
exchange without a market in US dollars they can be added."""

_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
_DATE = re.compile(r"(\d{6}|\d{8}|\d{1,2}[A-Z]{3}\d{2}|[FGHJKMNQUVXZ]\d{2})")


def asset(name: str) -> str:
    """The name by which other exchanges know an asset.

    >>> asset("XBT"), asset("ETH")
    ('BTC', 'ETH')
    """
    return _ALIASES.get(name, name)


def split_pair(pair: str, quotes: tuple[str, ...] = QUOTES) -> tuple[str, str] | None:
    """Base and quote of a name written without a separator, None where it ends with no known quote.

    Where several quotes end it, the longest is meant.

    >>> split_pair("BTCUSDT"), split_pair("XBTUSD"), split_pair("btc")
    (('BTC', 'USDT'), ('BTC', 'USD'), None)
    """
    endings = [quote for quote in quotes if pair.endswith(quote) and pair != quote]
    if not endings:
        return None
    quote = max(endings, key=len)
    return asset(pair.removesuffix(quote)), asset(quote)


def separate(pair: str, separator: str) -> tuple[str, str] | None:
    """Base and quote of a name written with one separator, None where it is no such name.

    >>> separate("BTC-USDT", "-"), separate("XBT/USD", "/"), separate("BTC-USDT-SWAP", "-")
    (('BTC', 'USDT'), ('BTC', 'USD'), None)
    """
    match pair.split(separator):
        case [base, quote] if base and quote:
            return asset(base), asset(quote)
    return None


def is_date(text: str) -> bool:
    """Whether it is a contract's day or month of expiry as exchanges write it.

    >>> [is_date(text) for text in ("260327", "20260327", "27MAR26", "H26", "PERP", "SWAP")]
    [True, True, True, True, False, False]
    """
    return _DATE.fullmatch(text) is not None
