"""The store that the settings name."""

from __future__ import annotations

from pathlib import Path

from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.influx import InfluxBarStore
from squeezeflow_plugin.store.registry import open_store


def test_the_settings_choose(tmp_path: Path) -> None:
    embedded = open_store(Settings(data_dir=tmp_path))
    assert isinstance(embedded, EmbeddedBarStore)
    embedded.close()
    influx = open_store(Settings(store="influx", influx_url="http://127.0.0.1:1"))
    assert isinstance(influx, InfluxBarStore)
    influx.close()
