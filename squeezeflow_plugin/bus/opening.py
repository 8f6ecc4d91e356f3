"""The bus that the settings name."""

from __future__ import annotations

import logging
import re

import redis

from squeezeflow_plugin.bus.contract import BarBus
from squeezeflow_plugin.bus.redis import Client, RedisBarBus, connect
from squeezeflow_plugin.settings import Settings

_LOG = logging.getLogger(__name__)
_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}


def open_bus(settings: Settings, patience_s: float) -> BarBus | None:
    """The bus, not spoken to yet; None where the settings want none. ``patience_s`` bounds each answer.

    Raises SettingsError where the server's address or password cannot be used.
    """
    return RedisBarBus(connect(settings, patience_s)) if settings.bus == "redis" else None


def size_bytes(text: str) -> int:
    """A size in Redis's units: https://redis.io/docs/latest/operate/oss_and_stack/management/config/

    >>> size_bytes("2gb"), size_bytes("100M"), size_bytes("512")
    (2147483648, 100000000, 512)
    """
    number, unit = re.fullmatch(r"(\d+)([a-z]*)", text.lower()).groups()  # type: ignore[union-attr]  # settings checked it
    return int(number) * _UNITS[unit]


def name_other_limit(client: Client, settings: Settings) -> None:
    """Warn where the server runs with another memory limit than ``redis_maxmemory``, or with none.

    A server that does not answer is left for the next call that needs it.
    """
    try:
        limit = int(client.info("memory").get("maxmemory", 0))
    except redis.RedisError as error:
        _LOG.warning("bus: the server's memory limit is not known: %s", error)
        return
    if limit != size_bytes(settings.redis_maxmemory):
        _LOG.warning(
            "bus: Redis runs with maxmemory %s, the settings say %s (REDIS_MAXMEMORY)",
            limit or "unlimited",
            settings.redis_maxmemory,
        )
