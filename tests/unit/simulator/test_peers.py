from __future__ import annotations

import pytest

from squeezeflow_plugin.errors import SimulatorError
from squeezeflow_plugin.feeds.registry import classify
from squeezeflow_plugin.simulator.peers import BINANCE, chosen, dialects, echoes, known
from squeezeflow_plugin.simulator.profiles import asset_profile


def test_every_exchange_lists_markets_that_the_feeds_know_by_their_names() -> None:
    assert len(dialects()) == 7
    for echo in echoes(known(), [asset_profile("BTC"), asset_profile("SOL")]):
        named = classify(echo.market)
        if named is not None:  # the number of a Hyperliquid pair says nothing
            assert (named.kind, named.base, named.quote) == (
                echo.instrument.kind,
                echo.instrument.base,
                echo.instrument.quote,
            )


def test_binance_is_always_there_and_others_by_name() -> None:
    assert chosen(BINANCE) == ()
    assert [dialect.name for dialect in chosen(["OKEX", "BINANCE", "BYBIT"])] == ["BYBIT", "OKEX"]
    with pytest.raises(SimulatorError, match="DERIBIT cannot be simulated, only BINANCE, "):
        chosen(["DERIBIT"])
