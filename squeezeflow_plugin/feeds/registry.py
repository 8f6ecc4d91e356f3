"""Finds the exchanges: every module of ``exchanges/`` that holds ``ADAPTER`` is one.

>>> "BINANCE" in names()
True
>>> adapter("BINANCE").name
'BINANCE'
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.feeds import exchanges, past
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter
from squeezeflow_plugin.feeds.recovery import PastTrades
from squeezeflow_plugin.feeds.slow import PREFIX, SlowExchange, is_slow
from squeezeflow_plugin.market import Instrument
from squeezeflow_plugin.settings import Endpoint


class AdapterClass(Protocol):
    """What ``ADAPTER`` is: a class named after its exchange, made with base URLs that may stand in."""

    name: str

    def __call__(self, rest_url: str | None = None, ws_url: str | None = None) -> ExchangeAdapter: ...


@functools.cache
def found() -> Mapping[str, AdapterClass]:
    """Exchange name to adapter class, by name."""
    classes: dict[str, AdapterClass] = {}
    for module in pkgutil.iter_modules(exchanges.__path__):
        adapter_class = importlib.import_module(f"{exchanges.__name__}.{module.name}").ADAPTER
        if adapter_class.name in classes:
            raise SettingsError(
                f"two modules of {exchanges.__name__} call themselves {adapter_class.name}, the second is "
                f"{module.name}; nothing is started"
            )
        classes[adapter_class.name] = adapter_class
    return MappingProxyType(dict(sorted(classes.items())))


def names() -> tuple[str, ...]:
    """The exchanges there are, sorted."""
    return tuple(found())


def unknown(wanted: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that ``adapter`` refuses, sorted.

    >>> unknown(["BYBIT", "CCXT-WOO", "CCXT-NOWHERE", "bybit"])
    ('CCXT-NOWHERE', 'bybit')
    """
    return tuple(sorted(name for name in set(wanted) - set(found()) if not _is_watched(name)))


def _is_watched(name: str) -> bool:
    try:
        return is_slow(name) and bool(SlowExchange(name))
    except SettingsError:
        return False


def adapter(name: str, endpoint: Endpoint | None = None) -> ExchangeAdapter:
    """The exchange's adapter, with base URLs replaced where an endpoint gives them.

    A name such as ``CCXT-WOO`` is that of an exchange watched through ccxt (``slow.py``). Raises
    SettingsError for a name that is neither that nor there.
    """
    if is_slow(name):
        return SlowExchange(name, endpoint)
    if name not in found():
        raise SettingsError(
            f"unknown exchange {name!r}; known are {', '.join(names())}, and any other that ccxt can watch,"
            f" with {PREFIX} before its name there"
        )
    endpoint = endpoint or Endpoint()
    return found()[name](rest_url=endpoint.rest, ws_url=endpoint.ws)


@functools.cache
def _past_classes() -> Mapping[str, type[PastTrades]]:
    modules = [
        importlib.import_module(f"{past.__name__}.{m.name}") for m in pkgutil.iter_modules(past.__path__)
    ]
    return MappingProxyType({each.exchange: each for module in modules for each in module.PAST})


def past_trades(name: str, endpoint: Endpoint | None = None) -> PastTrades | None:
    """How to ask the exchange for past trades; None where it gives none that fit those of its stream.

    >>> past_trades("BYBIT").exchange
    'BYBIT'
    """
    kind = _past_classes().get(name)
    return None if kind is None else kind(rest_url=endpoint.rest if endpoint else None)


def classify(market: str) -> Instrument | None:
    """What a market's name alone says it is, None where it says nothing or its exchange is not known.

    Only for where the exchange's metadata is not at hand: that decides.

    >>> instrument = classify("BYBIT:BTCUSDT")
    >>> instrument.kind.value, instrument.base, instrument.quote, instrument.settle
    ('perp', 'BTC', 'USDT', 'USDT')
    """
    exchange = market.partition(":")[0]
    return adapter(exchange).classify(market) if exchange in found() else None
