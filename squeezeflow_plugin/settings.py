"""Settings: frozen, complete, read once, unknown names refused. Each default stands here and nowhere else.

Three sources, the later wins: the defaults below, the ``squeezeflow`` section of a FreqTrade
config (field names as keys), and ``SQUEEZEFLOW_*`` environment variables (field names in upper
case; lists are separated by commas; ``endpoints`` is JSON). Fields of a server that other programs use
too (``REDIS_*``, ``INFLUX_*``) keep the names these programs know, without our prefix; other variables of
that family are not ours and are left alone. Credentials come from the environment or a file, never from a
config section, and are not shown. This is the only module that reads the environment.
"""

from __future__ import annotations

import os
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.settings_values import CONVERTERS, SHARD
from squeezeflow_plugin.settings_values import Endpoint as Endpoint  # noqa: PLC0414 - part of the settings

ENV_PREFIX = "SQUEEZEFLOW_"
MEMORY_SIZE = re.compile(r"\d+(b|kb?|mb?|gb?)?", re.IGNORECASE)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
STORES = ("embedded", "influx")
BUSES = ("none", "redis")
REGULAR_INTERVAL_S = 300  # of the regular mode: seconds between decisions
UNPREFIXED = ("REDIS_", "INFLUX_")  # families of variables that carry no ENV_PREFIX
CREDENTIALS = frozenset(
    {"redis_url", "redis_username", "redis_password", "influx_user", "influx_password"}
) | {"listen_token"}
_SECRET = re.compile(r"pas|pwd|secret|token|key|user|url", re.IGNORECASE)
DURATION = re.compile(r"(\d+)([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}

_RANGES: dict[str, tuple[float, float]] = {
    "max_symbols": (1, 500),
    "lookback_hours": (2.25, 720),
    "markets_per_asset": (1, 500),
    "interest_interval_s": (0, 300),
    "watermark_ms": (50, 10_000),
    "revision_horizon_s": (10, 3600),
    "silence_limit_s": (1, 3600),
    "retention_days": (0, 36_500),
    "decision_days": (0, 36_500),
    "decision_timeout_ms": (50, 5000),
    "max_clock_skew_ms": (100, 60_000),
    "max_leverage": (1, 125),
    "stop_atr": (0, 1000),
    "api_port": (0, 65_535),
    "health_port": (0, 65_535),
    "redis_port": (0, 65_535),
}
"""What a setting may be, both ends included."""


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, in the units named; the comment says what each one means."""

    run_interval: int = 1
    """Seconds between decisions: 1 in the 1 s mode; the regular mode decides every 300 and takes both."""
    data_interval: int = 1
    """Seconds a bar covers; the method is defined on 1."""
    enable_1s_mode: bool = True
    """The 1 s mode; false is the regular mode: decisions every 300 s, noise scales over four hours."""
    max_symbols: int = 3
    """Assets traded at once: the first of the whitelist, the others are named in a warning."""
    lookback_hours: float = 4.0
    """Hours of rows the provider holds for each asset, at least 2.25 (warm-up and revision horizon)."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    data_dir: Path = Path("user_data/squeezeflow")
    """Where store, journal, decision log and run-time files live."""
    store: str = "embedded"
    """Where the bot reads bars: embedded or influx. The collector always writes the embedded store first."""
    assets: tuple[str, ...] = ("BTC", "ETH", "SOL")
    """Base assets whose markets are collected."""
    exchanges: tuple[str, ...] = ("BINANCE", "BINANCE_FUTURES")
    """Exchanges whose markets are collected, by aggr-server's names; CCXT-WOO: through ccxt, any it knows."""
    quotes: tuple[str, ...] = ("USDT", "USDC", "FDUSD", "USD")
    """Quote currencies that count as US dollars."""
    markets: tuple[str, ...] = ()
    """Markets collected, by aggr-server's names (EXCHANGE:symbol); empty: the assets' markets are found."""
    markets_per_asset: int = 20
    """Spot markets of an asset at most, and perpetuals as many: those with the largest volume of a day."""
    interest_interval_s: int = 30
    """Seconds between two readings of open interest and funding, which records carry; 0: none are taken."""
    shard: str = "1/1"
    """Which part of the markets this collector takes, as k/n: those whose names' hash falls to it."""
    references: Mapping[str, str] = field(default_factory=lambda: types.MappingProxyType({}))
    """FreqTrade pair to the market whose prices stand in for its own, e.g. {"BTC/EUR": "KRAKEN:XBT/EUR"}."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=lambda: types.MappingProxyType({}))
    """Exchange name to the base URLs that stand in for its own, e.g. {"BINANCE": {"rest": "http://..."}}."""
    collector: str = "main"
    """This collector's name; it tags its closing records and its position."""
    collectors: tuple[str, ...] = ("main",)
    """The collectors whose record a second needs before it is scored."""
    first_second: int = 0
    """The first second a new collector closes (epoch seconds); 0: the one it starts in."""
    watermark_ms: int = 400
    """Milliseconds of market time after a second's end at which it closes."""
    revision_horizon_s: int = 600
    """How late a trade may come and still revise its bar, in seconds."""
    silence_limit_s: float = 60.0
    """Seconds without a trade after which a feed no longer counts as live."""
    journal_hours: float = 2.0
    """Hours of received trades the journal keeps."""
    retention_days: int = 30
    """Days that closed partitions of the embedded store are kept; 0: for ever. Imported ones stay."""
    decision_days: int = 7
    """Days of decisions that the bot's log keeps, for parity and explanations; 0: for ever. Trades stay."""
    decision_timeout_ms: int = 250
    """How long after a close's deadline the bot waits for its record before it vetoes entries."""
    max_clock_skew_ms: int = 1000
    """How far the bot's clock may be off market time, in milliseconds, before it vetoes entries."""
    max_leverage: float = 5.0
    """Upper bound of the leverage by tier."""
    stop_atr: float = 10.0
    """Emergency stop in multiples of the entry's 5m ATR, never looser than FreqTrade's; 0: that one only."""
    rsi_limit: float = 0.0
    """Longs are refused above this 5m RSI, shorts below its mirror image; 0: no filter."""
    refuse_fragile: bool = True
    """Whether an entry that one venue alone makes (of a class with three or more) is refused."""
    params: Mapping[str, Any] = field(default_factory=lambda: types.MappingProxyType({}))
    """Method parameters that differ from their defaults (see phases.params.Params)."""
    bus: str = "none"
    """How bars reach the bot besides the store: none (it polls the store) or redis."""
    listen: str = "127.0.0.1"
    """Address the collector's HTTP servers listen on."""
    listen_token: str = field(default="", repr=False)
    """What these servers ask for, as bearer token or as a login's password; empty: they ask for nothing."""
    listen_token_file: str = ""
    """A file that holds the token, instead of the token itself."""
    api_port: int = 3000
    """Port of the aggr-compatible HTTP API; 0 is off."""
    health_port: int = 8090
    """Port of health and metrics; 0 is off."""
    redis_url: str = field(default="", repr=False)
    """Where Redis is, as redis:// or rediss:// (TLS) URL; replaces host, port and credentials below."""
    redis_host: str = "127.0.0.1"
    """Redis server, where no URL is given."""
    redis_port: int = 6379
    """Its port."""
    redis_username: str = field(default="", repr=False)
    """Its user, empty for the default one."""
    redis_password: str = field(default="", repr=False)
    """Its password; empty where it asks for none."""
    redis_password_file: str = ""
    """A file that holds the password, instead of the password itself."""
    redis_maxmemory: str = "2gb"
    """Memory limit the Redis server is run with, in Redis's units; a server with another one is named."""
    influx_url: str = ""
    """Where InfluxDB is, as http:// or https:// URL without credentials; empty: there is none."""
    influx_user: str = field(default="", repr=False)
    """Its user; empty: no authentication."""
    influx_password: str = field(default="", repr=False)
    """Its password."""
    influx_password_file: str = ""
    """A file that holds the password, instead of the password itself."""
    influx_database: str = "significant_trades"
    """Its database, aggr-server's name by default."""
    influx_retention_1s: str = "24h"
    """How long InfluxDB keeps one-second bars: hours (24h), days (7d), weeks (2w) or inf."""
    influx_ca_file: str = ""
    """Certificate authority of an https server; empty: the system's."""
    influx_verify_tls: bool = True
    """Whether an https server must prove who it is."""
    influx_timeout_s: float = 10.0
    """How long one request to InfluxDB may take, in seconds."""

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            _check(low <= value <= high, name, f"in {low}..{high}", value)
        fitting = (1,) if self.enable_1s_mode else (1, REGULAR_INTERVAL_S)
        wanted = " or ".join(map(str, fitting))
        _check(self.run_interval in fitting, "run_interval", wanted, self.run_interval)
        _check(self.data_interval == 1, "data_interval", "1", self.data_interval)
        _check(self.log_level in LOG_LEVELS, "log_level", f"one of {', '.join(LOG_LEVELS)}", self.log_level)
        _check(self.store in STORES, "store", f"one of {', '.join(STORES)}", self.store)
        _check(self.bus in BUSES, "bus", f"one of {', '.join(BUSES)}", self.bus)
        for name in ("assets", "exchanges", "quotes", "collectors"):
            _check(bool(getattr(self, name)), name, "at least one name", getattr(self, name))
        _check(bool(self.collector), "collector", "a name", self.collector)
        part, parts = self.shard_parts
        _check(1 <= part <= parts <= 100, "shard", "k/n with 1 <= k <= n <= 100", self.shard)
        _check(self.first_second >= 0, "first_second", "an epoch second or 0", self.first_second)
        _check(
            self.journal_hours * 3600 >= self.revision_horizon_s + 60,
            "journal_hours",
            "more than the revision horizon",
            self.journal_hours,
        )
        rsi_fits = self.rsi_limit == 0 or 50 <= self.rsi_limit <= 100
        _check(rsi_fits, "rsi_limit", "0 or in 50..100", self.rsi_limit)
        _check(
            MEMORY_SIZE.fullmatch(self.redis_maxmemory) is not None,
            "redis_maxmemory",
            "a number of bytes, or one with kb, mb or gb",
            self.redis_maxmemory,
        )
        self._check_influx()

    def _check_influx(self) -> None:
        parts = urlsplit(self.influx_url)
        _check(
            not self.influx_url or (parts.scheme in {"http", "https"} and bool(parts.hostname)),
            "influx_url",
            "an http or https address",
            parts.hostname,
        )
        _check("@" not in self.influx_url, "influx_url", "without credentials", parts.hostname)
        _check(bool(self.influx_url) or self.store != "influx", "influx_url", "set for store influx", "")
        _check(
            not (self.influx_password and self.influx_password_file),
            "influx_password_file",
            "empty where influx_password is set",
            self.influx_password_file,
        )
        _check(
            re.fullmatch(r"[A-Za-z0-9_.-]+", self.influx_database) is not None,
            "influx_database",
            "a name of letters, digits and _ . -",
            self.influx_database,
        )
        _check(
            self.influx_retention_1s == "inf" or DURATION.fullmatch(self.influx_retention_1s) is not None,
            "influx_retention_1s",
            "hours, days or weeks (24h, 7d, 2w) or inf",
            self.influx_retention_1s,
        )
        _check(
            self.influx_retention_hours != 0, "influx_retention_1s", "at least 1h", self.influx_retention_1s
        )
        _check(0.1 <= self.influx_timeout_s <= 600, "influx_timeout_s", "in 0.1..600", self.influx_timeout_s)

    @property
    def shard_parts(self) -> tuple[int, int]:
        """Which part, counted from 1, and of how many; (0, 0) for what is no such text.

        >>> Settings(shard="2/3").shard_parts
        (2, 3)
        """
        found = SHARD.fullmatch(self.shard)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def shard_suffix(self) -> str:
        """What tells this shard's name and files from the others', empty where there is one collector.

        >>> Settings(shard="2/3").shard_suffix
        '-2of3'
        """
        part, parts = self.shard_parts
        return "" if parts == 1 else f"-{part}of{parts}"

    @property
    def method(self) -> Mapping[str, Any]:
        """What the method is told: ``params``, and whether it runs in the regular mode."""
        return self.params if self.enable_1s_mode else {**self.params, "regular": True}

    @property
    def influx_retention_hours(self) -> int | None:
        """Hours that InfluxDB keeps one-second bars; None: for ever.

        >>> Settings(influx_retention_1s="2d").influx_retention_hours
        48
        """
        found = DURATION.fullmatch(self.influx_retention_1s)
        return None if found is None else int(found[1]) * _HOURS[found[2]]

    @property
    def decision_keep_s(self) -> int:
        """Seconds of decisions that the log keeps; 0: all."""
        return self.decision_days * 86_400

    @property
    def store_path(self) -> Path:
        return self.data_dir / "store.sqlite"

    @property
    def decisions_path(self) -> Path:
        return self.data_dir / "decisions.sqlite"

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / f"journal{self.shard_suffix}"

    @property
    def run_dir(self) -> Path:
        return self.data_dir / f"run{self.shard_suffix}"


def load(section: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from a config section and the environment (``os.environ`` where none is given).

    Raises SettingsError for an unknown name or a value that cannot be used.

    >>> load({"max_symbols": 5}, {"SQUEEZEFLOW_ASSETS": "BTC, ETH"}).assets
    ('BTC', 'ETH')
    >>> load({"max_symbol": 5}, {})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    squeezeflow_plugin.errors.SettingsError: unknown setting squeezeflow.max_symbol (value 5); nothing is...
    """
    environ = os.environ if environ is None else environ
    known = {f.name for f in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in (section or {}).items():
        if key not in known:
            raise SettingsError(f"unknown setting squeezeflow.{key}{_told(key, value)}; nothing is started")
        if key in CREDENTIALS:
            raise SettingsError(
                f"squeezeflow.{key} is a credential: it comes from {environment_name(key)} or a file only;"
                " nothing is started"
            )
        values[key] = _convert(key, value, f"squeezeflow.{key}")
    for name, text in environ.items():
        if name.startswith(UNPREFIXED) and name.lower() in known:
            values[name.lower()] = _convert(name.lower(), text, name)
            continue
        if not name.startswith(ENV_PREFIX) or name in NOT_SETTINGS:
            continue
        key = name.removeprefix(ENV_PREFIX).lower()
        if key not in known or environment_name(key) != name:
            raise SettingsError(f"unknown environment variable {name}{_told(name, text)}; nothing is started")
        values[key] = _convert(key, text, name)
    return replace(Settings(), **values)


def _told(name: str, value: object) -> str:
    """The value of an unknown setting for a message; not that of a mistyped credential.

    >>> _told("max_symbol", 5), _told("SQUEEZEFLOW_REDIS_PASSWORD", "x")
    (' (value 5)', '')
    """
    return "" if _SECRET.search(name) else f" (value {value!r})"


def environment_name(key: str) -> str:
    """The environment variable of a setting.

    >>> environment_name("watermark_ms"), environment_name("redis_host")
    ('SQUEEZEFLOW_WATERMARK_MS', 'REDIS_HOST')
    """
    name = key.upper()
    return name if name.startswith(UNPREFIXED) else ENV_PREFIX + name


NOT_SETTINGS = frozenset({"SQUEEZEFLOW_SHARED"})  # where the tests find recordings; no setting of the product


def to_environ(settings: Settings) -> dict[str, str]:
    """The environment variables that make ``load`` give these settings again in a child process.

    >>> load(None, to_environ(Settings(assets=("BTC",)))) == Settings(assets=("BTC",))
    True
    """
    out = {}
    for f in fields(Settings):
        value = getattr(settings, f.name)
        if isinstance(value, tuple):
            text = ",".join(value)
        elif isinstance(value, Mapping):
            text = msgspec.json.encode(dict(value)).decode()
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
        out[environment_name(f.name)] = text
    return out


def process_environ() -> dict[str, str]:
    """This process's environment without any setting of ours, for a child that is given its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}


def _check(ok: bool, name: str, wanted: str, value: object) -> None:
    if not ok:
        raise SettingsError(f"setting {name} must be {wanted}, was {value!r}; nothing is started")


_TYPES = {f.name: str(f.type) for f in fields(Settings)}


def _convert(key: str, value: Any, where: str) -> Any:
    try:
        return CONVERTERS[_TYPES[key]](value)
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError, TypeError) as error:
        raise SettingsError(
            f"{where} must be of type {_TYPES[key]}, was {value!r}: {error}; nothing is started"
        ) from error
