"""Servers that INFLUX_URL and REDIS_URL name, for the tests that need none of their own.

What the caller's environment says of them is taken out of it here, so that no test's process or child meets
them by accident.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from typing import Any

import pytest

from squeezeflow_plugin.bus.redis import connect
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_schema import quoted

GIVEN = {name: os.environ.pop(name) for name in tuple(os.environ) if name.startswith(("INFLUX_", "REDIS_"))}
_NUMBERS = itertools.count(1)


class GivenInflux:
    """The InfluxDB of INFLUX_URL, whose user may create databases; those of the tests are dropped again."""

    def __init__(self) -> None:
        self._made: list[Settings] = []

    def settings(self, **fields: object) -> Settings:
        """Settings of a database of its own, kept for ever unless told otherwise."""
        name = f"squeezeflow_test_{os.getpid()}_{next(_NUMBERS)}"
        ours: dict[str, Any] = {"influx_database": name, "influx_retention_1s": "inf"}
        self._made.append(replace(load(None, GIVEN), **(ours | fields)))
        return self._made[-1]

    def drop(self) -> None:
        for settings in self._made:
            server = InfluxServer(settings)
            server.command(f"DROP DATABASE {quoted(settings.influx_database)}")
            server.close()


class GivenRedis:
    """The database of REDIS_URL, which must be empty: the tests empty it."""

    @property
    def settings(self) -> Settings:
        return replace(load(None, GIVEN), bus="redis")

    def client(self, patience_s: float = 2.0) -> Any:
        return connect(self.settings, patience_s)

    def start(self) -> None:
        with self.client() as client:
            held = client.dbsize()
        if held:
            pytest.fail(f"REDIS_URL names a database with {held} keys; name an empty one, as redis://host/9")

    def kill(self) -> None:
        """Leave it as it was."""
        with self.client() as client:
            client.flushdb()
