"""The exchange as a backtest of seconds needs it: FreqTrade's own class, which admits the timeframe 1s.

Markets, fees, precisions and leverage tiers are the exchange's. Where it cannot be reached its markets are
made of the instruments in the store, without limits, the tick and the fee of ccxt's own table for that
exchange; the run says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import ccxt
import freqtrade.exchange as exchanges
from freqtrade.constants import Config
from freqtrade.enums import TradingMode
from freqtrade.exceptions import TemporaryError
from freqtrade.exchange import MAP_EXCHANGE_CHILDCLASS, Exchange

from squeezeflow_plugin.market import Instrument, MarketKind

log = logging.getLogger(__name__)

_REACH_MS = 5000
_FINE = 1e-8


class SecondsExchange(Exchange):  # type: ignore[misc]  # FreqTrade ships no types
    """Mixed in before an exchange's class by ``seconds_exchange``."""

    stored_instruments: tuple[Instrument, ...] = ()
    markets_from_store = False

    def validate_timeframes(self, timeframe: str | None) -> None:
        """Any timeframe: no candle is asked of the exchange."""

    def validate_required_startup_candles(self, startup_candles: int, timeframe: str) -> int:  # noqa: ARG002 - FreqTrade's signature
        """One call would do: no candle is asked of the exchange."""
        return 1

    def _load_async_markets(self, reload: bool = False) -> None:
        if self.markets_from_store:
            return
        try:
            super()._load_async_markets(reload=reload)
        except (TemporaryError, ccxt.BaseError) as error:
            log.warning("%s cannot be reached, its markets are made of the store's: %s", self.name, error)
            self._api_async.set_markets(
                [_market(self._api_async, item) for item in self._listed(self.stored_instruments)]
            )
            self.markets_from_store = True

    def hang_up(self) -> None:
        """Close the connections: once made, a backtest asks nothing more of the exchange."""
        self._close_async_ccxt(self._api_async, "async")

    def _listed(self, instruments: Iterable[Instrument]) -> list[Instrument]:
        """The stored instruments of this exchange and the configured trading mode, one a pair."""
        venue = self._config["exchange"]["name"].upper()
        kind = MarketKind.PERP if self.trading_mode == TradingMode.FUTURES else MarketKind.SPOT
        found: dict[str, Instrument] = {}
        for item in sorted(instruments, key=lambda item: (item.inverse, item.market)):
            ours = item.exchange == venue or item.exchange.startswith(f"{venue}_")
            if ours and item.kind == kind:
                found.setdefault(_pair(item), item)
        return list(found.values())


def seconds_exchange(config: Config, instruments: Iterable[Instrument]) -> SecondsExchange:
    """The configured exchange for a backtest of seconds."""
    name: str = config["exchange"]["name"]
    base = getattr(exchanges, MAP_EXCHANGE_CHILDCLASS.get(name, name).title(), Exchange)
    made = type(
        f"Seconds{base.__name__}", (SecondsExchange, base), {"stored_instruments": tuple(instruments)}
    )
    options = config["exchange"].setdefault("ccxt_config", {})
    options.setdefault("timeout", _REACH_MS)
    exchange: SecondsExchange = made(config, validate=True, load_leverage_tiers=True)
    exchange.hang_up()
    return exchange


def _pair(item: Instrument) -> str:
    name = f"{item.base}/{item.quote}"
    return name if item.kind == MarketKind.SPOT else f"{name}:{item.settle}"


def _market(api: Any, item: Instrument) -> dict[str, Any]:
    """ccxt's description of a stored instrument (https://docs.ccxt.com/#/README?id=market-structure)."""
    perp = item.kind == MarketKind.PERP
    fees = api.fees.get("linear" if perp else "trading") or api.fees["trading"]
    fees = fees.get("trading", fees)
    found: dict[str, Any] = api.safe_market_structure(
        {
            "id": item.symbol,
            "symbol": _pair(item),
            "base": item.base,
            "quote": item.quote,
            "settle": item.settle if perp else None,
            "baseId": item.base,
            "quoteId": item.quote,
            "settleId": item.settle if perp else None,
            "type": "swap" if perp else "spot",
            "spot": not perp,
            "margin": False,
            "swap": perp,
            "future": False,
            "option": False,
            "active": True,
            "contract": perp,
            "linear": not item.inverse if perp else None,
            "inverse": item.inverse if perp else None,
            "contractSize": item.contract_size if perp else None,
            "taker": fees.get("taker"),
            "maker": fees.get("maker"),
            "precision": {"amount": _FINE, "price": _FINE},
            "limits": {"amount": {}, "price": {}, "cost": {}, "leverage": {}},
        }
    )
    return found
