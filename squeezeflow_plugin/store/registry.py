"""The store that the settings name."""

from __future__ import annotations

from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.embedded import EmbeddedBarStore


def open_store(settings: Settings, readonly: bool = True) -> BarStore:
    """Where the settings say that bars are read: the embedded store, or InfluxDB.

    The collector does not ask: it writes the embedded store, from which InfluxDB is shipped.
    """
    if settings.store == "influx":
        # The embedded store does without the client, which takes 14 MB and most of a second to load.
        from squeezeflow_plugin.store.influx import InfluxBarStore  # noqa: PLC0415

        return InfluxBarStore(settings, readonly)
    return EmbeddedBarStore(settings.store_path, readonly)
