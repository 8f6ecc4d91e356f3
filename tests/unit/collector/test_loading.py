"""Compiled code is loaded when many frames come at once, beside what runs."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import pytest

from squeezeflow_plugin.collector import loading
from squeezeflow_plugin.feeds.adapter import StreamPlan
from squeezeflow_plugin.feeds.batches import LEAST_FRAMES, WANTED_FRAMES, WANTED_NS, BatchReaders
from squeezeflow_plugin.feeds.registry import adapter, classify

BINANCE = adapter("BINANCE")


def plan() -> StreamPlan:
    market = classify("BINANCE:btcusdt")
    assert market is not None
    (found,) = BINANCE.plan([market])
    return found


async def test_readers_are_there_when_the_load_asked_for_them() -> None:
    readers = BatchReaders()
    async with loading.preparing(readers):
        assert readers.reader(BINANCE, plan(), WANTED_FRAMES, 1) is None
        assert readers.wanted.is_set()
    assert readers.reader(BINANCE, plan(), 1, 2) is not None


async def test_neither_few_at_once_nor_many_now_and_then_ask_for_them() -> None:
    readers = BatchReaders()
    async with loading.preparing(readers):
        for turn in range(10):
            assert readers.reader(BINANCE, plan(), WANTED_FRAMES - 1, turn * WANTED_NS) is None
        for _ in range(WANTED_FRAMES):
            assert readers.reader(BINANCE, plan(), LEAST_FRAMES - 1, 1) is None
    assert not readers.wanted.is_set()


class Heard(logging.Handler):
    """Waits for an error to be logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said = ""
        self._came = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()
        self._came.set()

    async def while_loading(self, readers: BatchReaders) -> None:
        async with loading.preparing(readers):
            readers.wanted.set()
            async with asyncio.timeout(60):
                await self._came.wait()


async def test_what_loading_fails_with_is_said_at_once_and_raised_in_the_end() -> None:
    class Broken(BatchReaders):
        def load(self) -> None:
            raise OSError("no room")

    log, heard = logging.getLogger(loading.__name__), Heard()
    log.addHandler(heard)
    try:
        with pytest.raises(OSError, match="no room"):
            await heard.while_loading(Broken())
    finally:
        log.removeHandler(heard)
    assert "OSError('no room'); frames are read one by one" in heard.said


def test_a_collector_imports_no_numba() -> None:
    """Its memory is a third of all that a quiet collector takes."""
    asked = "import squeezeflow_plugin.collector.app, sys; raise SystemExit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
