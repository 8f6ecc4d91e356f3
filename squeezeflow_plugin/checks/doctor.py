"""Before it runs and while it does: what of machine and settings will make trouble, and the remedy.

``check`` says whether the running system is whole; this says whether it can be. Nothing is changed, but the
data folder is made, and a small file in it is written and removed to time the disk.
"""

from __future__ import annotations

import importlib.metadata
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from squeezeflow_plugin.checks import machine
from squeezeflow_plugin.checks.findings import Finding, Level
from squeezeflow_plugin.checks.pages import Pages
from squeezeflow_plugin.checks.planning import plan
from squeezeflow_plugin.checks.standing import known_load
from squeezeflow_plugin.checks.system import storage
from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import ParameterError, ProcessError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.settings import Settings

PACKAGE = "squeezeflow-plugin"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BOUND = re.compile(r"(>=|<=|>|<)\s*([\d.]+)")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*)$")


def examine(settings: Settings, clock: Clock, bot: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Every finding as soon as it is known; ``bot`` is FreqTrade's configuration, where it is at hand."""
    yield from versions()
    yield from mistakes(settings)
    needed = plan(settings, known_load(settings))
    yield from machine.capacity(needed)
    yield from machine.disk(settings.data_dir, needed, clock)
    yield from machine.ports(settings)
    if not registry.unknown(settings.exchanges):
        answers = machine.ask_exchanges(settings, clock)
        yield from machine.exchange_findings(answers)
        yield machine.clock_finding(settings, answers, _measured_skew_ms(settings))
    yield from authentication(settings)
    yield from retention(settings)
    yield from storage(settings, None)
    if bot is not None:
        yield from bot_findings(bot)


def versions() -> Iterator[Finding]:
    """Python, and every package that is installed and needed, within the range it was tested with.

    A package that is not there is none of this machine's business: the collector runs without FreqTrade.
    """
    yield Finding(
        "versions", Level.OK, f"Python {sys.version.partition(' ')[0]}, {PACKAGE} {_version(PACKAGE)}"
    )
    for text in importlib.metadata.requires(PACKAGE) or ():
        found = _REQUIREMENT.match(text)
        installed = None if found is None else _version(found[1])
        if found is not None and installed is not None and not is_within(installed, found[2]):
            yield Finding(
                "versions",
                Level.FAIL,
                f"{found[1]} {installed} is installed, tested is {found[2].strip()}",
                "install with `pip install -c constraints.txt squeezeflow-plugin`",
            )


def is_within(version: str, bounds: str) -> bool:
    """Whether the numbers of a version satisfy every bound.

    >>> is_within("2026.9.1", ">=2026.9,<2026.10"), is_within("2026.10", "<2026.10,>=2026.9")
    (True, False)
    """
    own = _numbers(version)
    compare = {
        ">=": lambda bound: own >= bound,
        "<=": lambda bound: own <= bound,
        ">": lambda bound: own > bound,
        "<": lambda bound: own < bound,
    }
    return all(compare[sign](_numbers(bound)) for sign, bound in _BOUND.findall(bounds))


def mistakes(settings: Settings) -> Iterator[Finding]:
    """Settings that are valid one by one and wrong together."""
    found = list(_mistakes(settings))
    yield from found or [Finding("settings", Level.OK, "they fit together")]


def _mistakes(settings: Settings) -> Iterator[Finding]:
    if unknown := registry.unknown(settings.exchanges):
        text = f"SQUEEZEFLOW_EXCHANGES names {', '.join(unknown)}, which nobody knows"
        yield Finding("settings", Level.FAIL, text, f"known are {', '.join(registry.names())}")
    try:
        Params.from_mapping(settings.method)
    except ParameterError as error:
        text = f"SQUEEZEFLOW_PARAMS: {error}"
        yield Finding("settings", Level.FAIL, text, "docs/hyperopt.md lists the parameters")
    own = settings.collector + settings.shard_suffix
    if own not in settings.collectors:
        text = f"the bot waits for {', '.join(settings.collectors)}, this collector is {own}"
        yield Finding("settings", Level.FAIL, text, f"set SQUEEZEFLOW_COLLECTORS to what runs, with {own}")
    strangers = sorted({market.partition(":")[0] for market in settings.markets} - set(settings.exchanges))
    if strangers:
        text = f"SQUEEZEFLOW_MARKETS names markets of {', '.join(strangers)}, which are not collected"
        yield Finding("settings", Level.FAIL, text, "add them to SQUEEZEFLOW_EXCHANGES")
    if settings.max_symbols > len(settings.assets):
        text = (
            f"SQUEEZEFLOW_MAX_SYMBOLS is {settings.max_symbols}, {len(settings.assets)} assets are collected"
        )
        yield Finding("settings", Level.WARN, text, "add the others to SQUEEZEFLOW_ASSETS")
    if settings.store == "influx" and settings.bus == "none" and settings.decision_timeout_ms < 1000:
        text = "the bot polls InfluxDB and gives a late second less than a second"
        yield Finding("settings", Level.WARN, text, "set SQUEEZEFLOW_BUS=redis or a longer decision timeout")


def authentication(settings: Settings) -> Iterator[Finding]:
    """What would answer a stranger, and who could read a password."""
    found = list(_open_doors(settings))
    yield from found or [Finding("access", Level.OK, "everything listens on loopback or asks for a password")]


def _open_doors(settings: Settings) -> Iterator[Finding]:
    if settings.listen not in _LOOPBACK and not (settings.listen_token or settings.listen_token_file):
        yield Finding(
            "access",
            Level.WARN,
            f"health and API listen on {settings.listen} and ask for no password",
            "set SQUEEZEFLOW_LISTEN=127.0.0.1 or SQUEEZEFLOW_LISTEN_TOKEN_FILE, unless only a container's own"
            " network sees that address",
        )
    if settings.bus == "redis" and not settings.redis_url:
        has_password = settings.redis_password or settings.redis_password_file
        yield from _server("Redis", settings.redis_host, bool(has_password), "REDIS_PASSWORD_FILE")
    if settings.influx_url:
        parts = urlsplit(settings.influx_url)
        host = parts.hostname or ""
        yield from _server("InfluxDB", host, bool(settings.influx_user), "INFLUX_USER and its password")
        if parts.scheme == "http" and host not in _LOOPBACK and "." in host:
            text = f"the password goes to {host} in clear"
            yield Finding("access", Level.WARN, text, "use https (INFLUX_URL, INFLUX_CA_FILE)")
    for name in (settings.redis_password_file, settings.influx_password_file, settings.listen_token_file):
        if name:
            yield from _password_file(Path(name))


def _server(name: str, host: str, has_password: bool, setting: str) -> Iterator[Finding]:
    if not has_password:
        level = Level.WARN if host in _LOOPBACK else Level.FAIL
        yield Finding("access", level, f"{name} on {host} is used without a password", f"set {setting}")


def _password_file(path: Path) -> Iterator[Finding]:
    try:
        status = path.stat()
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror}"
        yield Finding("access", Level.FAIL, text, "make it, readable for this user (make secrets)")
        return
    is_mounted = path.is_relative_to("/run/secrets")  # a container sees only its own
    if status.st_mode & stat.S_IROTH and not is_mounted and path.parent.stat().st_mode & stat.S_IXOTH:
        yield Finding("access", Level.WARN, f"every user can read {path}", f"chmod 600 {path}")


def retention(settings: Settings) -> Iterator[Finding]:
    """Whether what is kept suffices for a start of the bot, and ends."""
    hours = settings.influx_retention_hours
    if settings.store == "influx" and hours is not None and hours < settings.lookback_hours + 1:
        text = f"InfluxDB keeps {hours} h, the bot starts on {settings.lookback_hours:g} h"
        yield Finding("retention", Level.FAIL, text, "raise INFLUX_RETENTION_1S, then squeezeflow db setup")
    elif settings.retention_days == 0:
        text = "the embedded store keeps every second for ever"
        yield Finding("retention", Level.WARN, text, "set SQUEEZEFLOW_RETENTION_DAYS, or watch the disk")
    else:
        yield Finding("retention", Level.OK, f"{settings.retention_days} days of seconds are kept")


def bot_findings(bot: Mapping[str, Any]) -> Iterator[Finding]:
    """FreqTrade's configuration: who may command the bot, and how often it looks."""
    server = bot.get("api_server", {})
    host = str(server.get("listen_ip_address", ""))
    if server.get("enabled") and host not in _LOOPBACK and not server.get("password"):
        text = f"FreqTrade's API listens on {host} without a password"
        yield Finding("bot", Level.FAIL, text, "set api_server.password, or listen on 127.0.0.1")
    throttle_s = bot.get("internals", {}).get("process_throttle_secs", 5)
    if throttle_s > 1:
        text = f"FreqTrade looks every {throttle_s} s only"
        yield Finding("bot", Level.WARN, text, "set internals.process_throttle_secs to 1")
    mode = "with dry-run money" if bot.get("dry_run", True) else "with real money"
    yield Finding("bot", Level.OK, f"strategy {bot.get('strategy')}, {mode}")


def _measured_skew_ms(settings: Settings) -> float | None:
    """The skew that a running collector measures; None where none runs or no exchange has said its time."""
    pages = Pages(settings)
    try:
        _, body = pages.json(f"{pages.health}/health")
    except ProcessError:
        return None
    skew_ms = body.get("collector", {}).get("skew_ms")
    return None if skew_ms is None else float(skew_ms)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """
    >>> _numbers("4.0") == _numbers("4")
    True
    """
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
