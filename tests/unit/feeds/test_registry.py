"""Exchanges are found by themselves, and an unknown name is told from a known one."""

from __future__ import annotations

import pkgutil

import pytest

from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.feeds import exchanges
from squeezeflow_plugin.feeds.registry import adapter, found, names
from squeezeflow_plugin.settings import Endpoint


def test_every_module_is_an_exchange() -> None:
    modules = {module.name for module in pkgutil.iter_modules(exchanges.__path__)}
    assert {adapter_class.__module__.rpartition(".")[2] for adapter_class in found().values()} == modules
    assert {"BINANCE", "BINANCE_FUTURES"} <= set(names())


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"unknown exchange 'BINANCEE'; known are .*BINANCE_FUTURES"):
        adapter("BINANCEE")


def test_an_endpoint_replaces_what_it_names() -> None:
    exchange = adapter("BINANCE", Endpoint(rest="http://127.0.0.1:1/"))
    assert exchange.instrument_requests()[0].url == "http://127.0.0.1:1/api/v3/exchangeInfo"
