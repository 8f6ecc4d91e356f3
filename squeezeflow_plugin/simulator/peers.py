"""Finds the simulated exchanges: Binance, and every module of ``exchanges/`` that holds ``DIALECT``.

>>> "BYBIT" in known(), BINANCE <= known()
(True, True)
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from squeezeflow_plugin.errors import SimulatorError
from squeezeflow_plugin.simulator import exchanges
from squeezeflow_plugin.simulator.dialect import Dialect
from squeezeflow_plugin.simulator.echoes import Echo
from squeezeflow_plugin.simulator.profiles import AssetProfile

BINANCE = frozenset({"BINANCE", "BINANCE_FUTURES"})
"""Always there: the others echo them, and the bot trades there."""


@functools.cache
def dialects() -> Mapping[str, Dialect]:
    """Exchange name to its dialect, by name."""
    modules = [importlib.import_module(f"{exchanges.__name__}.{m.name}") for m in _modules()]
    return MappingProxyType({module.DIALECT.name: module.DIALECT() for module in modules})


def _modules() -> list[pkgutil.ModuleInfo]:
    return sorted(pkgutil.iter_modules(exchanges.__path__), key=lambda module: module.name)


def known() -> frozenset[str]:
    """The exchanges that can be simulated."""
    return BINANCE | dialects().keys()


def chosen(names: Iterable[str]) -> tuple[Dialect, ...]:
    """The dialects of these exchanges, Binance left out; SimulatorError for one that is not simulated."""
    wanted = sorted(set(names))
    if missing := [name for name in wanted if name not in known()]:
        raise SimulatorError(
            f"{', '.join(missing)} cannot be simulated, only {', '.join(sorted(known()))};"
            " nothing is simulated"
        )
    return tuple(dialects()[name] for name in wanted if name not in BINANCE)


def echoes(names: Iterable[str], assets: Sequence[AssetProfile]) -> tuple[Echo, ...]:
    """The markets of these assets on these exchanges, those of Binance left out."""
    return tuple(market for dialect in chosen(names) for asset in assets for market in dialect.markets(asset))
