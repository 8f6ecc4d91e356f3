"""Is the running system whole? From the collector's pulse to the bot's newest decision, part by part.

The order is that of the data's way; a part that cannot be asked because an earlier one is dead is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import redis

from squeezeflow_plugin.bus import wire
from squeezeflow_plugin.bus.opening import size_bytes
from squeezeflow_plugin.bus.redis import RedisBarBus, connect
from squeezeflow_plugin.checks.findings import Finding, Level
from squeezeflow_plugin.checks.pages import Pages
from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import BusError, ProcessError, SettingsError, StoreError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.influx import InfluxBarStore
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_setup import (
    continuous_queries,
    policies,
    wanted_policies,
    wanted_queries,
)

STALE_S = 3.0
BEHIND_S = 5
SLOW_MS = 900.0  # the limit without a bus
_PATIENCE_S = 2.0
_NAMED = 5


class Decided(msgspec.Struct, frozen=True):
    """A pair's newest decision as the bot told it."""

    pair: str
    second: int
    latency_ms: float
    veto: str


def check_system(settings: Settings, clock: Clock, watch_s: int = 5) -> Iterator[Finding]:
    """Every finding as soon as it is known; takes ``watch_s`` seconds where all is well."""
    pages = Pages(settings)
    newest: int | None = None
    bot: list[Decided] = []
    try:
        yield from _collector(pages)
        data = pages.json(f"{pages.health}/health/data/1s")[1]
        newest = data.get("second")
        bot = [
            Decided(p["pair"], p["second"], p["latency_ms"], p["veto"])
            for p in (data.get("bot") or {}).get("pairs", ())  # nothing is told before the first second
        ]
        yield from data_findings(data)
        yield _flow(pages, clock, newest, watch_s)
        newest = pages.json(f"{pages.health}/health/data/1s")[1].get("second")
        yield _api(settings, pages, newest)
    except ProcessError as error:
        yield Finding("collector", Level.FAIL, str(error))
    yield from storage(settings, newest)
    yield _bot(settings, bot, newest)


def storage(settings: Settings, newest: int | None) -> Iterator[Finding]:
    """Redis and InfluxDB, where the settings use them; ``newest`` is the collector's newest second."""
    yield _redis(settings, newest)
    yield from _influx(settings, newest)


def data_findings(data: Any) -> Iterator[Finding]:
    """What ``/health/data/1s`` says; feeds that do not deliver are told apart from what follows of it."""
    if "second" not in data:
        yield Finding("data", Level.FAIL, "; ".join(data["reasons"]))
        return
    age_s = data["age_s"]
    text = f"newest stored second {data['second']}, {age_s:.1f} s old"
    yield Finding("data", Level.FAIL if age_s > STALE_S else Level.OK, text)
    silent = [market["market"] for market in data["markets"] if not market["covered"]]
    if silent:
        names = " ".join(silent[:_NAMED]) + (
            f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else ""
        )
        yield Finding("feeds", Level.FAIL, f"stale: {names} (silent, disconnected or not subscribed)")
    else:
        yield Finding("feeds", Level.OK, f"{len(data['markets'])} markets live")
    vetoes = [f"{asset['asset']} {asset['veto']}" for asset in data["assets"] if asset["veto"]]
    if vetoes:
        yield Finding("coverage", Level.WARN, f"nothing is entered yet: {', '.join(vetoes)}")
    else:
        yield Finding("coverage", Level.OK, "the last hour is complete for every asset")


def _collector(pages: Pages) -> Iterator[Finding]:
    for path, what in (("livez", "alive"), ("readyz", "ready")):
        status, body = pages.json(f"{pages.health}/{path}")
        text = f"{what} on {pages.health}" if status == 200 else "; ".join(body["reasons"])
        yield Finding("collector", Level.OK if status == 200 else Level.FAIL, text)


def _flow(pages: Pages, clock: Clock, before: int | None, watch_s: int) -> Finding:
    clock.sleep_until(clock.now_ns() + watch_s * NS_PER_SECOND)
    after = pages.json(f"{pages.health}/health/data/1s")[1].get("second")
    closed = 0 if before is None or after is None else after - before
    level = Level.OK if closed >= watch_s - 1 else Level.FAIL
    return Finding("1s flow", level, f"{closed} seconds closed and stored in {watch_s} s")


def _api(settings: Settings, pages: Pages, newest: int | None) -> Finding:
    if settings.api_port == 0:
        return Finding("api", Level.SKIP, "switched off")
    _, products = pages.json(f"{pages.api}/products")
    stop = (newest or 0) + 1
    status, body = pages.json(f"{pages.api}/historical/{(stop - 60) * 1000}/{stop * 1000}/1000")
    if status != 200:
        return Finding("api", Level.FAIL, f"/historical answers {status}: {body.get('error')}")
    bars = sum(isinstance(row, list) for row in body["results"])
    return Finding("api", Level.OK, f"{bars} bars of the last minute, {len(products)} markets on {pages.api}")


def _redis(settings: Settings, newest: int | None) -> Finding:
    if settings.bus != "redis":
        return Finding("redis", Level.SKIP, "SQUEEZEFLOW_BUS is none: the bot polls the store")
    try:
        client = connect(settings, _PATIENCE_S)
        bus = RedisBarBus(client)
        try:
            announced = bus.last_second(settings.collector)
            limit = int(client.info("memory").get("maxmemory", 0))
        finally:
            bus.close()
    except (BusError, SettingsError, redis.RedisError) as error:
        return Finding(
            "redis", Level.FAIL, str(error), "start it, or correct REDIS_*; the bot polls the store"
        )
    if announced is None or (newest is not None and newest - announced > BEHIND_S):
        behind = (
            "carries nothing" if announced is None else f"is {(newest or 0) - announced} s behind the store"
        )
        text = f"the stream of collector {settings.collector!r} {behind}"
        return Finding(
            "redis", Level.FAIL, text, "start the collector with the same REDIS_*; its log says more"
        )
    if limit != size_bytes(settings.redis_maxmemory):
        text = f"runs with maxmemory {limit or 'unlimited'}, REDIS_MAXMEMORY says {settings.redis_maxmemory}"
        return Finding("redis", Level.WARN, text, "make the server's limit and REDIS_MAXMEMORY the same")
    return Finding("redis", Level.OK, f"carries second {announced}, maxmemory {settings.redis_maxmemory}")


def _influx(settings: Settings, newest: int | None) -> Iterator[Finding]:
    if not settings.influx_url:
        yield Finding("influxdb", Level.SKIP, "INFLUX_URL is not set: bars rest in the embedded store")
        return
    try:
        server = InfluxServer(settings)
        try:
            yield from _retention(server, settings)
        finally:
            server.close()
        store = InfluxBarStore(settings, readonly=True)
        try:
            stored = store.last_second(settings.collector)
        finally:
            store.close()
    except (StoreError, SettingsError) as error:
        remedy = "start it, correct INFLUX_*, or run squeezeflow db setup; nothing is lost meanwhile"
        yield Finding("influxdb", Level.FAIL, str(error), remedy)
        return
    if stored is None or (newest is not None and newest - stored > BEHIND_S):
        behind = "nothing" if stored is None else f"{(newest or 0) - stored} s less than the collector"
        text = f"{settings.influx_database} has {behind}"
        yield Finding(
            "influxdb", Level.FAIL, text, "the collector catches up by itself; its log says why it waits"
        )
    else:
        yield Finding("influxdb", Level.OK, f"{settings.influx_database} has second {stored}")


def _retention(server: InfluxServer, settings: Settings) -> Iterator[Finding]:
    found = policies(server)
    wrong = []
    for name, hours in wanted_policies(settings).items():
        wanted = None if hours is None else hours * 3600
        if name not in found:
            wrong.append(f"policy {name} is missing")
        elif found[name] != wanted:
            wrong.append(f"policy {name} keeps {_hours(found[name])}, the settings say {_hours(wanted)}")
    missing = sorted(set(wanted_queries(server)) - set(continuous_queries(server)))
    wrong += [f"continuous query {name} is missing" for name in missing]
    text = "; ".join(wrong) or f"{settings.influx_retention_1s} of 1 s bars, all policies and queries as set"
    remedy = "squeezeflow db setup" if wrong else ""
    yield Finding("retention", Level.FAIL if wrong else Level.OK, text, remedy)


def _hours(seconds: int | None) -> str:
    return "for ever" if seconds is None else f"{seconds / 3600:g} h"


def _bot(settings: Settings, seen: list[Decided], newest: int | None) -> Finding:
    decided = seen
    if not decided and settings.bus == "redis":
        decided = _announced_decisions(settings)
    if not decided:
        return Finding("bot", Level.WARN, "no decision was found: freqtrade is not running, or elsewhere")
    last = max(each.second for each in decided)
    behind = 0 if newest is None else newest - last
    latency_ms = max(each.latency_ms for each in decided)
    text = f"{len(decided)} pairs, newest decision {last}, {latency_ms:.0f} ms after its second"
    if behind > BEHIND_S + 10:  # the page was read before the flow was watched
        return Finding("bot", Level.FAIL, f"{text}: {behind} s behind the data")
    return Finding("bot", Level.WARN if latency_ms > SLOW_MS else Level.OK, text)


def _announced_decisions(settings: Settings) -> list[Decided]:
    """The newest decision of each pair from the decision stream; none where Redis does not answer."""
    try:
        with connect(settings, _PATIENCE_S) as client:
            entries = client.xrevrange(wire.DECISIONS_KEY, count=200)
    except (redis.RedisError, SettingsError):
        return []  # said above, where the bus is checked
    newest: dict[str, Decided] = {}
    for _, fields in entries:
        try:
            told = msgspec.json.decode(fields.get(b"d", b""), type=Decided)
        except msgspec.MsgspecError:
            continue  # of another version or program
        newest.setdefault(told.pair, told)
    return list(newest.values())
