"""aggr-server's file: what becomes a setting, what is named with its reason, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from squeezeflow_plugin.collector.aggr_config import WITHOUT_COUNTERPART, read_config, settings_of
from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.settings import load

NAMES = frozenset(registry.names())
PAIRS = ["BITFINEX:BTCUSD", "BINANCE:btcusdt", "KRAKEN:XBT/USD", "BITMEX:XBTUSD", "OKEX:BTC-USDT-SWAP"]


def test_markets_ports_and_the_database_become_settings() -> None:
    found = settings_of(
        {
            "pairs": PAIRS,
            "port": 3100,
            "storage": ["influx", "files"],
            "influxHost": "db",
            "influxPort": 8087,
            "influxDatabase": "mine",
            "influxTimeframe": 1000,
            "influxMeasurement": "trades",
            "indexQuoteWhitelist": "USD, USDT",
            "id": None,
            "debug": True,
        },
        NAMES,
        "config.json",
    )
    settings = load(found.section, {})
    assert settings.markets == ("BITFINEX:BTCUSD", "BINANCE:btcusdt", "KRAKEN:XBT/USD", "OKEX:BTC-USDT-SWAP")
    assert settings.exchanges == ("BINANCE", "BITFINEX", "KRAKEN", "OKEX")
    assert (settings.api_port, settings.influx_url, settings.influx_database) == (
        3100,
        "http://db:8087",
        "mine",
    )
    assert (settings.quotes, settings.log_level) == (("USD", "USDT"), "DEBUG")
    assert found.notes == (
        "config.json: BITMEX:XBTUSD is left out, BITMEX is no exchange that can be collected",
    )
    assert load(found.section, {"SQUEEZEFLOW_API_PORT": "0"}).api_port == 0, "the environment wins"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"pair": "BINANCE:ethusdt, BINANCE:btcusdt", "pairs": []}, ["BINANCE:ethusdt", "BINANCE:btcusdt"]),
        ({"exchanges": ["KRAKEN"]}, ["KRAKEN:XBT/USD"]),
    ],
)
def test_markets_may_be_written_in_several_ways(more: dict[str, Any], expected: list[str]) -> None:
    assert settings_of({"pairs": PAIRS, **more}, NAMES, "c").section["markets"] == expected


def test_a_server_without_api_or_influx_gets_none() -> None:
    section = settings_of({"pairs": PAIRS, "api": False, "storage": None}, NAMES, "c").section
    assert section["api_port"] == 0
    assert "influx_url" not in section
    old = settings_of(
        {"pairs": PAIRS, "storage": "influx", "influxUrl": "localhost:8086"}, NAMES, "c"
    ).section
    assert old["influx_url"] == "http://localhost:8086"


def test_every_key_without_counterpart_is_named_with_its_reason() -> None:
    document: dict[str, Any] = {"pairs": PAIRS[:1], **dict.fromkeys(WITHOUT_COUNTERPART, 5)}
    notes = settings_of(document, NAMES, "c").notes
    assert [note.split()[1] for note in notes] == list(WITHOUT_COUNTERPART)
    assert all(note.partition("changes nothing: ")[2] for note in notes)
    assert settings_of({"pairs": PAIRS[:1], "tyop": 1}, NAMES, "c").notes == (
        "c: tyop is no key of aggr-server that is known; it changes nothing",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON object"),
        ("[]", "is no JSON object"),
        ("{}", r"none of its pairs \(there is none\)"),
        ('{"pairs":["BITMEX:XBTUSD"]}', r"none of its pairs \(BITMEX:XBTUSD\)"),
        ('{"pairs":[1]}', r"pairs must be a list of names, was \[1\]"),
        ('{"pairs":["BINANCE:btcusdt"],"collect":false}', "collect is false"),
    ],
)
def test_a_file_that_leaves_nothing_to_collect_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=f"config.json.*{message}"):
        read_config(path, NAMES)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_config(tmp_path / "none.json", NAMES)


def test_values_of_the_wrong_kind_are_refused_by_the_settings() -> None:
    section = settings_of({"pairs": PAIRS, "port": "soon"}, NAMES, "c").section
    with pytest.raises(SettingsError, match="api_port"):
        load(section, {})
    assert msgspec.to_builtins(section["markets"])
