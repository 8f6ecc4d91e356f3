"""aggr-server's ``config.json``: what of it is taken over, and what is not, each with its reason.

Its markets, ports and InfluxDB become settings of ours, which the environment may still change. The keys are
those of aggr-server's ``src/config.js`` and of its earlier versions. Nothing in the file is passed over in
silence: a key that has no counterpart here is named with the reason, one that nobody knows as unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from squeezeflow_plugin.errors import SettingsError

_FILES = "trades are kept in the journal and bars in the embedded store, both under SQUEEZEFLOW_DATA_DIR"
_POLICIES = "the timeframes and how long each is kept are fixed, but for INFLUX_RETENTION_1S"
_SCHEMA = "the schema is aggr-server's own: measurement trades_<timeframe> in policy aggr_<timeframe>"
_LIMITS = "the limits of the HTTP API are fixed"
_ORIGINS = "the API listens on SQUEEZEFLOW_LISTEN (this machine) and asks nobody where he comes from"
_RECOVERY = "missed trades are found by id, from the journal on, whatever the time"
_SHARDS = "collectors share the markets by --shard k/n and need no socket between them"
_ALERTS = "there are no push notifications; alerts are made from /metrics"
_BROADCAST = "nothing is broadcast; Redis carries every closed second (SQUEEZEFLOW_BUS=redis)"

WITHOUT_COUNTERPART: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("filesInterval", "filesLocation", "filesGzipAfterUse", "filesCloseAfter", "backupInterval"),
            _FILES,
        ),
        **dict.fromkeys(
            ("influxResampleTo", "influxResampleInterval", "influxRetentionPerTimeframe"), _POLICIES
        ),
        **dict.fromkeys(("influxMeasurement", "influxRetentionPrefix"), _SCHEMA),
        **dict.fromkeys(
            ("maxFetchLength", "enableRateLimit", "rateLimitTimeWindow", "rateLimitMax"), _LIMITS
        ),
        **dict.fromkeys(("origin", "whitelist", "admin"), _ORIGINS),
        **dict.fromkeys(
            ("persistConnections", "staleConnectionThreshold", "recoveryRequestDelay", "influxPreheatRange"),
            _RECOVERY,
        ),
        **dict.fromkeys(
            ("influxCollectors", "influxCollectorsReconnectionDelay", "influxCollectorsClusterSocketPath"),
            _SHARDS,
        ),
        **dict.fromkeys(
            ("publicVapidKey", "privateVapidKey", "alertExpiresAfter", "alertEndpointExpiresAfter", "alerts"),
            _ALERTS,
        ),
        **dict.fromkeys(
            ("broadcast", "broadcastAggr", "broadcastDebounce", "broadcastThreshold", "websocket"), _BROADCAST
        ),
        "reconnectionThreshold": "a silent feed is noticed within SQUEEZEFLOW_SILENCE_LIMIT_S, not an hour",
        "influxTimeframe": "bars of one second are collected, always; higher ones are made of them",
        "id": "the bot knows the collector by SQUEEZEFLOW_COLLECTOR",
        "indexExchangeBlacklist": "there are no price indexes",
        "extraProducts": "markets are those that the exchanges list",
        "deribitClientId": "no exchange's credentials are needed",
        "deribitClientSecret": "no exchange's credentials are needed",
    }
)
"""Keys that are known and change nothing here, and why; values equal to what is done anyway are not named."""

_AS_HERE: Mapping[str, Any] = MappingProxyType(
    {"influxTimeframe": 1000, "influxMeasurement": "trades", "influxRetentionPrefix": "aggr_", "id": None}
)


@dataclass(frozen=True)
class AggrConfig:
    """``section`` holds settings by name, as ``settings.load`` takes them; ``notes`` say in a sentence each
    what of the file is not taken over.
    """

    section: Mapping[str, Any]
    notes: tuple[str, ...]


def read_config(path: Path, exchanges: Iterable[str]) -> AggrConfig:
    """The settings that the file stands for; ``exchanges`` are those that can be collected.

    Raises SettingsError where the file cannot be read or leaves nothing to collect.
    """
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error}; nothing is started") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise SettingsError(f"{path} is no JSON object: {error}; nothing is started") from error
    return settings_of(document, frozenset(exchanges), str(path))


def settings_of(document: Mapping[str, Any], exchanges: frozenset[str], where: str) -> AggrConfig:
    """As ``read_config``, of a decoded file.

    >>> found = settings_of({"pairs": ["BINANCE:btcusdt"], "port": 3001, "x": 1}, frozenset(["BINANCE"]), "c")
    >>> dict(found.section)
    {'markets': ['BINANCE:btcusdt'], 'exchanges': ['BINANCE'], 'api_port': 3001}
    >>> found.notes
    ('c: x is no key of aggr-server that is known; it changes nothing',)
    """
    if document.get("collect") is False:
        raise SettingsError(f"{where}: collect is false, and this is the collector; nothing is started")
    section: dict[str, Any] = {}
    notes = [*_markets(document, exchanges, section, where)]
    if "port" in document or document.get("api") is False:
        section["api_port"] = 0 if document.get("api") is False else document["port"]
    if document.get("debug"):
        section["log_level"] = "DEBUG"
    if quotes := _names(document, "indexQuoteWhitelist", where):
        section["quotes"] = quotes
    _influx(document, section)
    known = {*_TAKEN, *WITHOUT_COUNTERPART}
    for key, value in document.items():
        if key not in known:
            notes.append(f"{where}: {key} is no key of aggr-server that is known; it changes nothing")
        elif key in WITHOUT_COUNTERPART and value != _AS_HERE.get(key, _NOTHING):
            notes.append(f"{where}: {key} changes nothing: {WITHOUT_COUNTERPART[key]}")
    return AggrConfig(MappingProxyType(section), tuple(notes))


_NOTHING = object()
_TAKEN = frozenset(
    (
        *("pairs", "pair", "exchanges", "collect", "port", "api", "debug", "indexQuoteWhitelist"),
        *("storage", "influxHost", "influxPort", "influxUrl", "influxDatabase"),
    )
)


def _markets(
    document: Mapping[str, Any], exchanges: frozenset[str], section: dict[str, Any], where: str
) -> Iterable[str]:
    """Enter the markets; what is said about those that are left out."""
    pairs = [*_names(document, "pairs", where), *_names(document, "pair", where)]
    only = _names(document, "exchanges", where)
    wanted = list(dict.fromkeys(p for p in pairs if not only or p.partition(":")[0] in only))
    found = [pair for pair in wanted if pair.partition(":")[0] in exchanges]
    if not found:
        raise SettingsError(
            f"{where}: none of its pairs ({', '.join(pairs) or 'there is none'}) is of an exchange that can"
            f" be collected ({', '.join(sorted(exchanges))}); nothing is started"
        )
    section["markets"] = found
    section["exchanges"] = sorted({pair.partition(":")[0] for pair in found})
    for pair in wanted:
        if pair not in found:
            exchange = pair.partition(":")[0]
            yield f"{where}: {pair} is left out, {exchange} is no exchange that can be collected"


def _influx(document: Mapping[str, Any], section: dict[str, Any]) -> None:
    """Enter the server where aggr-server would write to it."""
    storage = document.get("storage") or ()
    if "influx" not in (storage.split(",") if isinstance(storage, str) else storage):
        return
    host = document.get("influxUrl") or document.get("influxHost", "localhost")
    url = host if "://" in str(host) else f"http://{host}"
    if "influxUrl" not in document:
        url += f":{document.get('influxPort', 8086)}"
    section["influx_url"] = url
    if "influxDatabase" in document:
        section["influx_database"] = document["influxDatabase"]


def _names(document: Mapping[str, Any], key: str, where: str) -> list[str]:
    """A list of names, or a text with commas between them."""
    value = document.get(key) or []
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SettingsError(f"{where}: {key} must be a list of names, was {value!r}; nothing is started")
    return value
