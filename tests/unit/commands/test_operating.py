"""The three commands speak text and JSON, and their status says whether all is well."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from squeezeflow_plugin import cli
from tests.free_ports import free_port


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that meet no running system and no exchange."""
    monkeypatch.setenv("SQUEEZEFLOW_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SQUEEZEFLOW_HEALTH_PORT", str(free_port()))
    monkeypatch.setenv("SQUEEZEFLOW_API_PORT", "0")
    monkeypatch.setenv("SQUEEZEFLOW_EXCHANGES", "BINANCE")
    endpoints = {"BINANCE": {"rest": f"http://127.0.0.1:{free_port()}"}}
    monkeypatch.setenv("SQUEEZEFLOW_ENDPOINTS", msgspec.json.encode(endpoints).decode())
    for name in ("SQUEEZEFLOW_BUS", "SQUEEZEFLOW_STORE", "INFLUX_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def test_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--markets", "6", "--trades", "190"]) == 0
    assert capsys.readouterr().out.startswith("6 markets, 190 trades/s")
    assert cli.main(["plan", "--markets", "6", "--trades", "190", "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["plan"]["load"]["trades_per_s"] == 190
    assert found["disk_bytes"] == sum(found["plan"]["disk"].values())
    assert found["plan"]["constants"]["store_bar"]["unit"] == "B/bar"


def test_status_of_what_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == 1
    assert "not running" in capsys.readouterr().out
    assert cli.main(["status", "--json"]) == 1
    assert msgspec.json.decode(capsys.readouterr().out)["running"] is False


def test_doctor(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"dry_run": true, "squeezeflow": {}} // FreqTrade allows comments', encoding="utf-8")
    assert cli.main(["doctor", "--config", str(config)]) == 1  # the exchange does not answer
    assert "FAIL exchanges" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 1
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["ok"] is False
    assert {"part", "level", "text", "remedy"} == set(found["findings"][0])


@pytest.mark.parametrize("config", ["absent.json", "broken.json"])
def test_settings_that_cannot_be_used_are_the_one_finding(
    config: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text('{"squeezeflow": {"max_symbol": 5}}', encoding="utf-8")
    assert cli.main(["doctor", "--json", "--config", str(tmp_path / config)]) == 1
    (finding,) = msgspec.json.decode(capsys.readouterr().out)["findings"]
    assert (finding["part"], finding["level"]) == ("settings", "FAIL")
    assert finding["remedy"]
