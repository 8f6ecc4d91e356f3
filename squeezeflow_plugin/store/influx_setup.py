"""Making a database what the settings say: policies of each timeframe and continuous queries between them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_resample import STEPS, aggregate
from squeezeflow_plugin.store.influx_schema import (
    HIGHER,
    LIVE_HOURS,
    LIVE_POLICY,
    META_POLICY,
    SECOND,
    Timeframe,
    quoted,
)

_UNITS = {"h": 3600, "m": 60, "s": 1}


def set_up(server: InfluxServer, settings: Settings, shorten: bool = False) -> list[str]:
    """Create the database, its policies and continuous queries where they are not as they should be.

    Returns a sentence for each thing that was done. A policy that keeps bars longer than the settings say is
    left alone, and StoreError says so, unless ``shorten``: shortening deletes bars.
    """
    return set_up_policies(server, settings, shorten) + _set_up_queries(server)


def set_up_policies(server: InfluxServer, settings: Settings, shorten: bool = False) -> list[str]:
    """``set_up`` without continuous queries."""
    done = []
    database = quoted(server.database)
    existing = {row[0] for series in server.command("SHOW DATABASES")[0] for row in series.values}
    if server.database not in existing:
        server.command(f"CREATE DATABASE {database}")
        done.append(f"database {server.database} made")
    found = policies(server)
    for name, hours in wanted_policies(settings).items():
        seconds = None if hours is None else hours * 3600
        if name in found and found[name] == seconds:
            continue
        if name in found and not shorten and (found[name] or 2**62) > (seconds or 2**62):
            raise StoreError(
                f"retention policy {name} of {server.database} keeps {_duration(found[name])}, the settings"
                f" say {_duration(seconds)}; shortening deletes bars and is done with --shorten only"
            )
        verb, word = ("ALTER", "altered") if name in found else ("CREATE", "made")
        # Altering the duration alone would reset the shard duration.
        server.command(
            f"{verb} RETENTION POLICY {quoted(name)} ON {database} DURATION {_duration(seconds)}"
            f" REPLICATION 1 SHARD DURATION {_shard(seconds)}"
        )
        done.append(f"retention policy {name} {word} to keep {_duration(seconds)}")
    return done


def wanted_policies(settings: Settings) -> Mapping[str, int | None]:
    """Policy to hours, None keeps for ever; no higher timeframe is kept shorter than the seconds."""
    hours = settings.influx_retention_hours
    higher = {
        timeframe.policy: None if hours is None or timeframe.hours is None else max(hours, timeframe.hours)
        for timeframe in HIGHER
    }
    return {META_POLICY: None, LIVE_POLICY: LIVE_HOURS, SECOND.policy: hours, **higher}


def policies(server: InfluxServer) -> dict[str, int | None]:
    """The database's policies and the seconds that each keeps, None for ever."""
    answer = server.ask(f"SHOW RETENTION POLICIES ON {quoted(server.database)}")[0]
    return {row[0]: _seconds(row[1]) for series in answer for row in series.values}


def continuous_queries(server: InfluxServer) -> dict[str, str]:
    """The database's continuous queries by name."""
    answer = server.ask("SHOW CONTINUOUS QUERIES")[0]
    return {row[0]: row[1] for series in answer if series.name == server.database for row in series.values}


def wanted_queries(server: InfluxServer) -> dict[str, str]:
    """Name to statement. Each run covers the running bar and the one before it, so that a bar which closed
    after its last second came in is whole within one period.
    """
    queries = {}
    for source, target in STEPS:
        name = _query_name(target)
        every = "10s" if target.seconds == 60 else "1m"
        queries[name] = (
            f"CREATE CONTINUOUS QUERY {quoted(name)} ON {quoted(server.database)} RESAMPLE EVERY {every} FOR"
            f" {2 * target.seconds}s BEGIN {aggregate(server.database, source, target)} END"
        )
    return queries


def _set_up_queries(server: InfluxServer) -> list[str]:
    done = []
    found = continuous_queries(server)
    for name, statement in wanted_queries(server).items():
        if name in found and _same(found[name], statement):
            continue
        if name in found:
            server.command(f"DROP CONTINUOUS QUERY {quoted(name)} ON {quoted(server.database)}")
        server.command(statement)
        done.append(f"continuous query {name} made")
    return done


def _query_name(timeframe: Timeframe) -> str:
    return f"squeezeflow_{timeframe.name}"


def _same(stored: str, wanted: str) -> bool:
    """The server shows a statement with its own quoting and its own way of writing durations."""
    return _normal(stored) == _normal(wanted)


def _normal(statement: str) -> str:
    text = re.sub(r"\b(\d+[smhdw])+\b", lambda found: str(_seconds(found[0])), statement)
    return re.sub(r'["\s]', "", text).lower()


def _seconds(duration: str) -> int | None:
    """Seconds of a duration as InfluxDB writes it; None for 0s, which is for ever.

    >>> _seconds("24h0m0s"), _seconds("0s")
    (86400, None)
    """
    units = {**_UNITS, "d": 86_400, "w": 604_800}
    total = sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhdw])", duration))
    return total or None


def _duration(seconds: int | None) -> str:
    return "INF" if seconds is None else f"{seconds // 3600}h"


def _shard(seconds: int | None) -> str:
    """Whole shards are dropped, so a short policy needs short ones; a long one few."""
    if seconds is None:
        return "7d"
    return "1h" if seconds <= 48 * 3600 else "1d" if seconds <= 180 * 86_400 else "7d"
