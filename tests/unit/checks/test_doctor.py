"""Each trouble has its finding with a remedy; defaults have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.checks.doctor import (
    authentication,
    bot_findings,
    examine,
    is_within,
    mistakes,
    retention,
    versions,
)
from squeezeflow_plugin.checks.findings import Level
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.settings import Endpoint, Settings
from tests.free_ports import free_port

INFLUX: dict[str, Any] = {"influx_url": "http://127.0.0.1:8086", "influx_user": "squeezeflow"}


def test_the_installed_versions_are_those_that_were_tested() -> None:
    assert [finding.level for finding in versions()] == [Level.OK]


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("2.10.0", ">=2,<3", True),
        ("3.0", ">=2,<3", False),
        ("0.20.0", "<0.23,>=0.20", True),
        ("0.9", "<0.23,>=0.20", False),
        ("1.0", "", True),
        ("4.0", ">4,<6", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, bounds: str, expected: bool) -> None:
    assert is_within(version, bounds) is expected


def test_the_defaults_fit_together() -> None:
    for findings in (mistakes(Settings()), authentication(Settings()), retention(Settings())):
        assert [finding.level for finding in findings] == [Level.OK]


@pytest.mark.parametrize(
    ("changes", "level", "part"),
    [
        ({"exchanges": ("BINANCE", "MTGOX")}, Level.FAIL, "MTGOX"),
        ({"params": {"min_scor": 5}}, Level.FAIL, "unknown parameter(s) min_scor"),
        ({"collectors": ("other",)}, Level.FAIL, "this collector is main"),
        ({"shard": "1/2", "collectors": ("main",)}, Level.FAIL, "main-1of2"),
        ({"markets": ("BYBIT:BTCUSDT",)}, Level.FAIL, "BYBIT"),
        ({"max_symbols": 5}, Level.WARN, "3 assets"),
        ({"store": "influx", **INFLUX}, Level.WARN, "polls InfluxDB"),
    ],
)
def test_mistakes(changes: dict[str, Any], level: Level, part: str) -> None:
    (found,) = mistakes(Settings(**changes))
    assert (found.level, part in found.text, bool(found.remedy)) == (level, True, True)


@pytest.mark.parametrize(
    ("changes", "level", "part"),
    [
        ({"listen": "0.0.0.0"}, Level.WARN, "ask for no password"),  # noqa: S104 - a setting, nothing listens
        ({"bus": "redis"}, Level.WARN, "Redis on 127.0.0.1 is used without a password"),
        ({"bus": "redis", "redis_host": "db.example.com"}, Level.FAIL, "Redis on db.example.com"),
        ({"influx_url": "http://127.0.0.1:8086"}, Level.WARN, "InfluxDB on 127.0.0.1"),
        ({"influx_url": "http://10.0.0.9:8086", "influx_user": "u"}, Level.WARN, "in clear"),
        ({"influx_url": "https://10.0.0.9:8086"}, Level.FAIL, "InfluxDB on 10.0.0.9"),
    ],
)
def test_open_doors(changes: dict[str, Any], level: Level, part: str) -> None:
    (found,) = authentication(Settings(**changes))
    assert (found.level, part in found.text, bool(found.remedy)) == (level, True, True)


def test_a_password_file_is_there_and_for_its_owner(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "password"
    settings = Settings(bus="redis", redis_password_file=str(path))
    (found,) = authentication(settings)
    assert (found.level, "cannot be read" in found.text) == (Level.FAIL, True)
    path.write_text("not shown", encoding="ascii")
    path.chmod(0o644)
    (found,) = authentication(settings)
    assert (found.level, "not shown" in str(found)) == (Level.WARN, False)
    path.chmod(0o600)
    assert [finding.level for finding in authentication(settings)] == [Level.OK]


def test_retention_has_to_carry_a_start_of_the_bot_and_to_end() -> None:
    (found,) = retention(Settings(store="influx", influx_retention_1s="4h", **INFLUX))
    assert found.level is Level.FAIL
    (found,) = retention(Settings(retention_days=0))
    assert found.level is Level.WARN


def test_freqtrades_configuration() -> None:
    api = {"enabled": True, "listen_ip_address": "0.0.0.0", "password": ""}  # noqa: S104 - nothing listens
    levels = [
        finding.level
        for finding in bot_findings({"api_server": api, "internals": {"process_throttle_secs": 5}})
    ]
    assert levels == [Level.FAIL, Level.WARN, Level.OK]
    closed = {"api_server": {**api, "password": "x"}, "internals": {"process_throttle_secs": 1}}
    assert [finding.level for finding in bot_findings(closed)] == [Level.OK]


def test_everything_is_examined_and_every_trouble_has_a_remedy(tmp_path: Path) -> None:
    nowhere = Endpoint(rest=f"http://127.0.0.1:{free_port()}")
    settings = Settings(
        data_dir=tmp_path / "data",
        exchanges=("BINANCE",),
        endpoints={"BINANCE": nowhere},
        health_port=free_port(),
        api_port=0,
    )
    found = list(
        examine(settings, SystemClock(), {"dry_run": True, "internals": {"process_throttle_secs": 1}})
    )
    parts = {finding.part for finding in found}
    assert parts >= {
        "versions", "settings", "cores", "memory", "disk", "disk speed", "ports", "exchanges", "clock",
        "access", "retention", "bot",
    }  # fmt: skip  # a set
    (failing,) = [finding for finding in found if finding.level is Level.FAIL]
    assert failing.part == "exchanges"
    assert all(finding.remedy for finding in found if finding.level in {Level.FAIL, Level.WARN})
