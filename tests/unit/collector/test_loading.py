"""Compiled code is loaded beside what runs."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.collector import loading
from squeezeflow_plugin.feeds.batches import BatchReaders
from squeezeflow_plugin.feeds.registry import adapter, classify


async def test_readers_are_there_when_the_code_is_loaded() -> None:
    binance, market, readers = adapter("BINANCE"), classify("BINANCE:btcusdt"), BatchReaders()
    assert market is not None
    (plan,) = binance.plan([market])
    async with loading.preparing(readers):
        assert readers.reader(binance, plan) is None
    assert readers.reader(binance, plan) is not None


async def test_what_loading_fails_with_is_raised() -> None:
    class Broken(BatchReaders):
        def load(self) -> None:
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        async with loading.preparing(Broken()):
            pass
