"""For each exchange the requests that tell open interest, funding and the volume of a day.

The field names are those of the exchanges' documentation: Binance and Aster ``/fapi/v1/openInterest`` and
``premiumIndex``, Bybit ``/v5/market/tickers``, OKX ``/api/v5/public/open-interest``, Bitget
``/api/v2/mix/market/tickers``, Hyperliquid ``metaAndAssetCtxs``, Kraken ``/derivatives/api/v3/tickers``,
Coinbase ``/api/v3/brokerage/market/products``, HTX ``swap_open_interest``, Deribit
``get_book_summary_by_currency``, Gate ``/futures/{settle}/tickers``, KuCoin ``/api/v1/contracts/active``,
Bitfinex ``/v2/status/deriv``, Crypto.com ``get-tickers``, MEXC ``contract/ticker``, Phemex
``/md/v3/ticker/24hr/all`` (linear contracts), dYdX ``/v4/perpetualMarkets``, Bitstamp ``/api/v2/ticker/``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from squeezeflow_plugin.feeds.naming import asset
from squeezeflow_plugin.feeds.tickers import Row, TickerSource


def at(*keys: str) -> Callable[[Any], Iterable[Row]]:
    """Rows that are a list under these keys; without keys the answer is that list, or is the one row.

    >>> at("result", "list")({"result": {"list": [{"symbol": "BTCUSDT"}]}})
    [{'symbol': 'BTCUSDT'}]
    """

    def rows(document: Any) -> Iterable[Row]:
        found = functools.reduce(lambda part, key: part[key], keys, document)
        return found if isinstance(found, list) else [found]

    return rows


def values_at(*keys: str) -> Callable[[Any], Iterable[Row]]:
    """Rows that are an object's values, each with its key as ``symbol``."""

    def rows(document: Any) -> Iterable[Row]:
        found = functools.reduce(lambda part, key: part[key], keys, document)
        return [{"symbol": key, **value} for key, value in found.items()]

    return rows


def _listed_fields(**places: int) -> Callable[[Any], Iterable[Row]]:
    """Rows that are lists: field name to its place in them."""

    def rows(document: Any) -> Iterator[Row]:
        for values in document:
            yield {name: values[place] for name, place in places.items() if place < len(values)}

    return rows


def _hyperliquid(document: Any) -> Iterable[Row]:
    """The contexts of the contracts, in the order of the ``universe`` that names them."""
    meta, contexts = document
    names = [entry["name"] for entry in meta["universe"]]
    return [{"symbol": name, **context} for name, context in zip(names, contexts, strict=True)]


def _kraken_spot(document: Any) -> Iterator[Row]:
    """``XXBTZUSD`` is BTC/USD; ``v`` and ``c`` hold today and 24 hours, price and lot."""
    for name, ticker in document["result"].items():
        halves = (name[:4], name[4:])
        if len(name) == 8 and halves[0][0] in "XZ" and halves[1][0] in "XZ":
            name = asset(halves[0][1:]) + asset(halves[1][1:])  # noqa: PLW2901 - the name as others have it
        elif name.startswith(("XBT", "XDG")):
            name = asset(name[:3]) + name[3:]  # noqa: PLW2901 - as above
        yield {"symbol": name, "volume": ticker["v"][1], "price": ticker["c"][0]}


def _kraken_futures(document: Any) -> Iterator[Row]:
    """``fundingRate`` is an amount a contract: of base units for inverse contracts, of dollars for others."""
    for ticker in document["tickers"]:
        rate, price = ticker.get("fundingRate"), float(ticker.get("markPrice") or 0)
        if rate is None or not price:
            yield ticker
        elif ticker["symbol"].upper().startswith("PI_"):
            yield {**ticker, "fundingRate": float(rate) * price}
        else:
            yield {**ticker, "fundingRate": float(rate) / price}


def _coinbase(document: Any) -> Iterator[Row]:
    for product in document["products"]:
        details = (product.get("future_product_details") or {}).get("perpetual_details") or {}
        yield {**details, **product}


def _coinbase_spot(document: Any) -> Iterator[Row]:
    for name, stats in document.items():
        yield {"symbol": name, **stats["stats_24hour"]}


def _binance_like(host: str, prefix: str, *, inverse: bool | None = None) -> tuple[TickerSource, ...]:
    return (
        TickerSource(
            host=host, path=f"{prefix}/premiumIndex", rows=at(), inverse=inverse,
            price="markPrice", funding="lastFundingRate", time="time",
        ),
        TickerSource(
            host=host, path=f"{prefix}/openInterest", rows=at(), inverse=inverse,
            symbol_param="symbol", time="time", contracts="openInterest",
        ),
        TickerSource(
            host=host, path=f"{prefix}/ticker/24hr", rows=at(), inverse=inverse,
            volume="" if inverse else "quoteVolume", volume_units="volume" if inverse else "",
        ),
    )  # fmt: skip  # a line a group of fields


def _bybit(category: str, **more: Any) -> TickerSource:
    return TickerSource(
        host="https://api.bybit.com", path="/v5/market/tickers", params=(("category", category),),
        rows=at("result", "list"), time="time", **more,
    )  # fmt: skip  # as above


_BYBIT_CONTRACT = {
    "contracts": "openInterest", "price": "markPrice", "funding": "fundingRate", "volume_units": "volume24h"
}  # fmt: skip  # as above


def _okx(path: str, kind: str, **more: Any) -> TickerSource:
    params = (("instType", kind),) if kind else (("instId", "ANY"),)
    return TickerSource(
        host="https://www.okx.com", path=path, params=params, rows=at("data"), symbol="instId", time="ts",
        **more,
    )  # fmt: skip  # as above


def _bitget(product: str, **more: Any) -> TickerSource:
    return TickerSource(
        host="https://api.bitget.com", path="/api/v2/mix/market/tickers", params=(("productType", product),),
        rows=at("data"), base="holdingAmount", price="markPrice", funding="fundingRate", volume="usdtVolume",
        time="ts", **more,
    )  # fmt: skip  # as above


def _htx(path: str, **more: Any) -> TickerSource:
    return TickerSource(
        host="https://api.hbdm.com", path=path, rows=at("data"), symbol="contract_code", time="ts", **more
    )


def _deribit(currency: str, kind: str, **more: Any) -> TickerSource:
    return TickerSource(
        host="https://www.deribit.com", path="/api/v2/public/get_book_summary_by_currency",
        params=(("currency", currency), ("kind", kind)), rows=at("result"), symbol="instrument_name",
        price="mark_price", volume="volume_usd", time="creation_timestamp", **more,
    )  # fmt: skip  # as above


def _gate(settle: str, **more: Any) -> TickerSource:
    return TickerSource(
        host="https://api.gateio.ws", path=f"/api/v4/futures/{settle}/tickers", rows=at(), symbol="contract",
        contracts="total_size", price="mark_price", funding="funding_rate", volume="volume_24h_quote", **more,
    )  # fmt: skip  # as above


SOURCES: Mapping[str, tuple[TickerSource, ...]] = MappingProxyType(
    {
        "ASTER": _binance_like("https://fapi.asterdex.com", "/fapi/v1"),
        "BINANCE": (
            TickerSource(
                host="https://api.binance.com", path="/api/v3/ticker/24hr", rows=at(), spot=True,
                volume="quoteVolume",
            ),
        ),
        "BINANCE_FUTURES": (
            *_binance_like("https://fapi.binance.com", "/fapi/v1", inverse=False),
            *_binance_like("https://dapi.binance.com", "/dapi/v1", inverse=True),
        ),
        "BITFINEX": (
            TickerSource(
                host="https://api-pub.bitfinex.com", path="/v2/tickers", params=(("symbols", "ALL"),),
                rows=_listed_fields(symbol=0, price=7, volume=8), spot=True, price="price",
                volume_units="volume",
            ),
            TickerSource(
                host="https://api-pub.bitfinex.com", path="/v2/tickers", params=(("symbols", "ALL"),),
                rows=_listed_fields(symbol=0, price=7, volume=8), price="price", volume_units="volume",
            ),
            TickerSource(
                host="https://api-pub.bitfinex.com", path="/v2/status/deriv", params=(("keys", "ALL"),),
                rows=_listed_fields(symbol=0, time=1, funding=12, price=15, base=18), time="time",
                base="base", price="price", funding="funding",
            ),
        ),
        "BITGET": (
            TickerSource(
                host="https://api.bitget.com", path="/api/v2/spot/market/tickers", rows=at("data"), spot=True,
                volume="usdtVolume",
            ),
            _bitget("USDT-FUTURES", inverse=False),
            _bitget("USDC-FUTURES", inverse=False),
            _bitget("COIN-FUTURES", inverse=True, suffix="_CM"),
        ),
        "BITSTAMP": (
            TickerSource(
                host="https://www.bitstamp.net", path="/api/v2/ticker/", rows=at(), spot=True, symbol="pair",
                price="last", volume_units="volume",
            ),
        ),
        "BYBIT": (
            _bybit("spot", spot=True, volume="turnover24h"),
            _bybit("linear", inverse=False, **_BYBIT_CONTRACT),
            _bybit("inverse", inverse=True, **_BYBIT_CONTRACT),
        ),
        "COINBASE": (
            TickerSource(
                host="https://api.exchange.coinbase.com", path="/products/stats", rows=_coinbase_spot,
                spot=True, price="last", volume_units="volume",
            ),
            TickerSource(
                host="https://api.coinbase.com", path="/api/v3/brokerage/market/products",
                params=(("product_type", "FUTURE"), ("contract_expiry_type", "PERPETUAL")), rows=_coinbase,
                symbol="product_id", contracts="open_interest", price="price", funding="funding_rate",
                volume_units="volume_24h",
            ),
        ),
        "CRYPTOCOM": tuple(
            TickerSource(
                host="https://api.crypto.com", path="/exchange/v1/public/get-tickers",
                rows=at("result", "data"), symbol="i", spot=spot, base="" if spot else "oi", price="a",
                volume="vv", time="t",
            )
            for spot in (True, False)
        ),
        "DERIBIT": (
            *(_deribit(c, "spot", spot=True) for c in ("BTC", "ETH", "USDC")),
            *(
                _deribit(c, "future", contracts="open_interest", funding="current_funding")
                for c in ("BTC", "ETH", "USDC")
            ),
        ),
        "DYDX": (
            TickerSource(
                host="https://indexer.dydx.trade", path="/v4/perpetualMarkets", rows=values_at("markets"),
                base="openInterest", price="oraclePrice", funding="nextFundingRate", volume="volume24H",
            ),
        ),
        "GATEIO": (
            TickerSource(
                host="https://api.gateio.ws", path="/api/v4/spot/tickers", rows=at(), spot=True,
                symbol="currency_pair", volume="quote_volume",
            ),
            _gate("usdt", inverse=False),
            _gate("btc", inverse=True),
        ),
        "HUOBI": (
            TickerSource(
                host="https://api.htx.com", path="/market/tickers", rows=at("data"), spot=True, volume="vol"
            ),
            _htx("/linear-swap-api/v1/swap_batch_funding_rate", inverse=False, funding="funding_rate"),
            _htx("/swap-api/v1/swap_batch_funding_rate", inverse=True, funding="funding_rate"),
            _htx(
                "/linear-swap-api/v1/swap_open_interest", inverse=False, base="amount", usd="value",
                volume="trade_turnover",
            ),
            _htx(
                "/swap-api/v1/swap_open_interest", inverse=True, contracts="volume", base="amount",
                volume="trade_turnover",
            ),
        ),
        "HYPERLIQUID": (
            TickerSource(
                host="https://api.hyperliquid.xyz", path="/info", body=b'{"type":"spotMetaAndAssetCtxs"}',
                rows=lambda document: document[1], spot=True, symbol="coin", volume="dayNtlVlm",
            ),
            TickerSource(
                host="https://api.hyperliquid.xyz", path="/info", body=b'{"type":"metaAndAssetCtxs"}',
                rows=_hyperliquid, base="openInterest", price="markPx", funding="funding", volume="dayNtlVlm",
            ),
        ),
        "KRAKEN": (
            TickerSource(
                host="https://api.kraken.com", path="/0/public/Ticker", rows=_kraken_spot, spot=True,
                price="price", volume_units="volume",
            ),
            TickerSource(
                host="https://futures.kraken.com", path="/derivatives/api/v3/tickers", rows=_kraken_futures,
                contracts="openInterest", price="markPrice", funding="fundingRate", volume_units="vol24h",
            ),
        ),
        "KUCOIN": (
            TickerSource(
                host="https://api.kucoin.com", path="/api/v1/market/allTickers", rows=at("data", "ticker"),
                spot=True, volume="volValue",
            ),
            TickerSource(
                host="https://api-futures.kucoin.com", path="/api/v1/contracts/active", rows=at("data"),
                contracts="openInterest", price="markPrice", funding="fundingFeeRate",
                volume="turnoverOf24h",
            ),
        ),
        "MEXC": (
            TickerSource(
                host="https://api.mexc.com", path="/api/v3/ticker/24hr", rows=at(), spot=True,
                volume="quoteVolume",
            ),
            TickerSource(
                host="https://contract.mexc.com", path="/api/v1/contract/ticker", rows=at("data"),
                contracts="holdVol", price="fairPrice", funding="fundingRate", volume="amount24",
                time="timestamp",
            ),
        ),
        "OKEX": (
            _okx("/api/v5/market/tickers", "SPOT", spot=True, volume="volCcy24h"),
            _okx("/api/v5/market/tickers", "SWAP", price="last", volume_units="vol24h"),
            _okx("/api/v5/public/funding-rate", "", funding="fundingRate"),
            _okx("/api/v5/public/open-interest", "SWAP", contracts="oi", base="oiCcy", usd="oiUsd"),
        ),
        "PHEMEX": (
            TickerSource(
                host="https://api.phemex.com", path="/md/spot/ticker/24hr/all", rows=at("result"), spot=True,
                volume="turnoverEv", volume_scale=1e-8,
            ),
            TickerSource(
                host="https://api.phemex.com", path="/md/v3/ticker/24hr/all", rows=at("result"),
                inverse=False, base="openInterestRv", price="markPriceRp", funding="fundingRateRr",
                volume="turnoverRv", time="timestamp", time_unit_ns=1,
            ),
        ),
    }
)  # fmt: skip  # a line a group of fields
"""Exchange name to its requests, in the order to ask: price and funding before open interest without them."""
