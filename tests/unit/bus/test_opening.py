"""The settings decide which bus there is, and a server that runs otherwise is named."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from squeezeflow_plugin.bus.opening import name_other_limit, open_bus
from squeezeflow_plugin.bus.redis import RedisBarBus, connect
from squeezeflow_plugin.settings import Settings
from tests.redis_server import RedisServer


def test_no_bus_unless_it_is_wanted() -> None:
    assert open_bus(Settings(), 1.0) is None
    assert isinstance(open_bus(Settings(bus="redis"), 1.0), RedisBarBus)


def test_another_memory_limit_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer(tmp_path, "--maxmemory", "100mb")
    server.start()
    try:
        with server.client() as client:
            name_other_limit(client, replace(server.settings, redis_maxmemory="100mb"))
            assert caplog.messages == []
            name_other_limit(client, server.settings)
    finally:
        server.kill()
    assert caplog.messages == [
        "bus: Redis runs with maxmemory 104857600, the settings say 2gb (REDIS_MAXMEMORY)"
    ]
    with connect(server.settings, 0.5) as client:
        name_other_limit(client, server.settings)
    assert caplog.records[-1].levelno == logging.WARNING
