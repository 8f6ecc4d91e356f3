"""Compiled code is loaded when many frames come at once, beside what runs."""

from __future__ import annotations

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


async def test_what_loading_fails_with_is_raised() -> None:
    class Broken(BatchReaders):
        def load(self) -> None:
            raise OSError("no room")

    readers = Broken()
    with pytest.raises(OSError, match="no room"):
        async with loading.preparing(readers):
            readers.wanted.set()


def test_a_collector_imports_no_numba() -> None:
    """Its memory is a third of all that a quiet collector takes."""
    asked = "import squeezeflow_plugin.collector.app, sys; raise SystemExit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
