"""What a session needs before it can begin: a store that knows instruments and has a complete second."""

from __future__ import annotations

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import StoreEmptyError, StoreMissingError, StoreUnavailableError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.provider.closings import complete_until
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore

STORE_WAIT_S = 60


def wait_for_store(store: BarStore, settings: Settings, clock: Clock, limit_s: float = STORE_WAIT_S) -> int:
    """Block until the store knows instruments and has a complete second; returns the first one that is not.

    Raises StoreEmptyError when that takes longer than ``limit_s``; a server that is not there yet, or is not
    set up, is waited for as well.
    """
    deadline = clock.now_ns() + round(limit_s * NS_PER_SECOND)
    where = f"InfluxDB {settings.influx_url}" if settings.store == "influx" else str(settings.store_path)
    while True:
        reason = f"holds no closed second of {', '.join(settings.collectors)}"
        try:
            stop = complete_until(store, settings.collectors)
            if stop is not None and store.instruments():
                return stop
        except (StoreUnavailableError, StoreMissingError) as error:
            reason = f"cannot be used ({error})"
        now = clock.now_ns()
        if now >= deadline:
            raise StoreEmptyError(
                f"{where} {reason} after {limit_s:g} s; start the collector first, the bot does not start"
            )
        clock.sleep_until(min(now + NS_PER_SECOND // 4, deadline))
