"""The exchanges' metadata of the simulated markets, as ``exchangeInfo`` gives it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from squeezeflow_plugin.simulator.profiles import MarketTerms
from squeezeflow_plugin.simulator.trades import decimal_text
from squeezeflow_plugin.simulator.wire import SPOT_PLACES

_NEVER_MS = 4_133_404_800_000
_ONBOARDED_MS = 1_569_398_400_000
_ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]


def _head(now_ms: int) -> dict[str, Any]:
    return {"timezone": "UTC", "serverTime": now_ms, "rateLimits": [], "exchangeFilters": []}


def spot(profiles: Iterable[MarketTerms], now_ms: int) -> dict[str, Any]:
    """``/api/v3/exchangeInfo``."""
    return _head(now_ms) | {"symbols": [_spot_symbol(profile) for profile in profiles]}


def usdm(profiles: Iterable[MarketTerms], now_ms: int) -> dict[str, Any]:
    """``/fapi/v1/exchangeInfo``."""
    asset = {"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}
    body = {"futuresType": "U_MARGINED", "assets": [asset]}
    return _head(now_ms) | body | {"symbols": [_usdm_symbol(profile) for profile in profiles]}


def coinm(now_ms: int) -> dict[str, Any]:
    """``/dapi/v1/exchangeInfo``: there is no simulated COIN-M market."""
    return _head(now_ms) | {"symbols": []}


def _filters(profile: MarketTerms, places: int | None) -> list[dict[str, Any]]:
    tick = decimal_text(1, profile.price_scale, places)
    lot = decimal_text(1, profile.size_scale, places)
    most = decimal_text(9_000_000, 1, places)
    sizes = {"minQty": lot, "maxQty": most, "stepSize": lot}
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": most, "tickSize": tick},
        {"filterType": "LOT_SIZE", **sizes},
        {"filterType": "MARKET_LOT_SIZE", **sizes},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200, "limit": 200},
    ]


def _spot_symbol(profile: MarketTerms) -> dict[str, Any]:
    instrument = profile.instrument
    notional = {
        "filterType": "NOTIONAL",
        "minNotional": "5.00000000",
        "applyMinToMarket": True,
        "maxNotional": "9000000.00000000",
        "applyMaxToMarket": False,
        "avgPriceMins": 5,
    }
    return {
        "symbol": instrument.symbol,
        "status": "TRADING",
        "baseAsset": instrument.base,
        "baseAssetPrecision": SPOT_PLACES,
        "quoteAsset": instrument.quote,
        "quotePrecision": SPOT_PLACES,
        "quoteAssetPrecision": SPOT_PLACES,
        "baseCommissionPrecision": SPOT_PLACES,
        "quoteCommissionPrecision": SPOT_PLACES,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [*_filters(profile, SPOT_PLACES), notional],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


def _usdm_symbol(profile: MarketTerms) -> dict[str, Any]:
    instrument = profile.instrument
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _NEVER_MS,
        "onboardDate": _ONBOARDED_MS,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.settle,
        "pricePrecision": profile.price_decimals,
        "quantityPrecision": profile.size_decimals,
        "baseAssetPrecision": SPOT_PLACES,
        "quotePrecision": SPOT_PLACES,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": [*_filters(profile, None), {"filterType": "MIN_NOTIONAL", "notional": "5"}],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }
