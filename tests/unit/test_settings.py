"""Settings are refused unless they are known and sensible, and survive the way into a child process."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.settings import Endpoint, Settings, load, process_environ, to_environ


def test_environment_wins_over_config_section() -> None:
    settings = load({"watermark_ms": 300, "assets": ["ETH"]}, {"SQUEEZEFLOW_WATERMARK_MS": "500"})
    assert (settings.watermark_ms, settings.assets) == (500, ("ETH",))


@pytest.mark.parametrize(
    ("section", "environ", "message"),
    [
        ({"watermark": 300}, {}, r"unknown setting squeezeflow\.watermark \(value 300\)"),
        ({}, {"SQUEEZEFLOW_WATERMARK": "300"}, r"unknown environment variable SQUEEZEFLOW_WATERMARK"),
        (
            {},
            {"SQUEEZEFLOW_WATERMARK_MS": "soon"},
            r"SQUEEZEFLOW_WATERMARK_MS must be of type int, was 'soon'",
        ),
        ({"watermark_ms": 20}, {}, r"watermark_ms must be in 50\.\.10000, was 20"),
        ({"watermark_ms": True}, {}, r"watermark_ms must be of type int"),
        ({"data_interval": 10}, {}, r"data_interval must be 1, was 10"),
        ({"max_symbols": 0}, {}, r"max_symbols must be in 1\.\.500, was 0"),
        ({"lookback_hours": 2}, {}, r"lookback_hours must be in 2\.25\.\.720, was 2"),
        ({}, {"SQUEEZEFLOW_LOG_LEVEL": "LOUD"}, r"log_level must be one of DEBUG, .*, was 'LOUD'"),
        ({"store": "punched cards"}, {}, r"store must be one of embedded, influx, was 'punched cards'"),
        (
            {},
            {"INFLUX_URL": "http://me:secret@host:8086"},
            r"influx_url must be without credentials, was 'host'",
        ),
        ({}, {"INFLUX_URL": "host:8086"}, r"influx_url must be an http or https address"),
        ({}, {"SQUEEZEFLOW_STORE": "influx"}, r"influx_url must be set for store influx"),
        ({}, {"INFLUX_RETENTION_1S": "90m"}, r"influx_retention_1s must be hours, days or weeks"),
        ({}, {"INFLUX_RETENTION_1S": "0h"}, r"influx_retention_1s must be at least 1h"),
        ({}, {"INFLUX_DATABASE": 'a"b'}, r"influx_database must be a name of letters"),
        (
            {},
            {"INFLUX_PASSWORD": "s", "INFLUX_PASSWORD_FILE": "f"},
            r"influx_password_file must be empty where influx_password is set",
        ),
        ({"influx_password": "s"}, {}, r"influx_password is a credential: it comes from INFLUX_PASSWORD or"),
        ({}, {"SQUEEZEFLOW_ASSETS": " , "}, r"assets must be at least one name"),
        ({}, {"SQUEEZEFLOW_RUN_INTERVAL": "300"}, r"run_interval must be 1, was 300"),
        (
            {},
            {"SQUEEZEFLOW_RUN_INTERVAL": "60", "SQUEEZEFLOW_ENABLE_1S_MODE": "false"},
            r"run_interval must be 1 or 300, was 60",
        ),
        (
            {},
            {"SQUEEZEFLOW_ENDPOINTS": '{"BINANCE": {"http": "x"}}'},
            r"SQUEEZEFLOW_ENDPOINTS must be of type",
        ),
    ],
)
def test_bad_setting_is_refused_by_name_and_value(
    section: dict[str, object], environ: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load(section, environ)


def test_the_regular_mode_is_told_to_the_method() -> None:
    regular = load({"params": {"min_score": 5.0}}, {"SQUEEZEFLOW_ENABLE_1S_MODE": "false"})
    assert regular.method == {"min_score": 5.0, "regular": True}
    assert replace(regular, run_interval=300).method == regular.method
    assert load({"params": {"min_score": 5.0}}, {}).method == {"min_score": 5.0}


def test_credentials_are_not_shown() -> None:
    settings = Settings(influx_user="me-myself", influx_password="hush")  # noqa: S106 - not a real one
    assert "me-myself" not in repr(settings)
    assert "hush" not in repr(settings)


def test_settings_travel_through_the_environment() -> None:
    settings = Settings(
        assets=("BTC", "DOGE"),
        endpoints={"BINANCE": Endpoint(rest="http://127.0.0.1:1/api", ws="ws://127.0.0.1:1/ws")},
        params={"min_score": 4.5},
        data_dir=Path("elsewhere"),
        enable_1s_mode=True,
        lookback_hours=2.5,
    )
    assert load(None, to_environ(settings)) == settings


def test_every_setting_has_its_environment_variable() -> None:
    assert len(to_environ(Settings())) == len(fields(Settings))


def test_a_child_gets_no_setting_it_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQUEEZEFLOW_COLLECTOR", "other")
    assert "SQUEEZEFLOW_COLLECTOR" not in process_environ()


def test_the_readme_states_defaults_that_are_true() -> None:
    """All settings are in the documentation, which writes them from here."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    rows = {
        cells[1].strip(): cells[2].strip()
        for line in readme.splitlines()
        if len(cells := line.split("|")) > 3
    }
    defaults = to_environ(Settings())
    named = [name for name in defaults if f"`{name}`" in rows]
    assert len(named) >= 10
    for name in named:
        assert load(None, {name: rows[f"`{name}`"]}) == load(None, {name: defaults[name]}), name
