"""The bot's end of the bus: it listens to closed seconds there and tells it what was decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from squeezeflow_plugin.bus.contract import BarBus
from squeezeflow_plugin.bus.decisions import DecisionStream
from squeezeflow_plugin.bus.opening import open_bus
from squeezeflow_plugin.bus.redis import connect
from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.provider.announced import AnnouncedSeconds
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import LoggedDecision

LISTEN_PATIENCE_S = 0.4  # longer than a blocking read's slice, shorter than the pause between two seconds
TELL_PATIENCE_S = 2.0


class FastPath:
    """A bus to listen to and a stream of decisions to fill; the store and the decision log stay the truth."""

    def __init__(self, bus: BarBus, decisions: DecisionStream | None) -> None:
        self._bus = bus
        self._decisions = decisions

    def listen(self, collectors: Iterable[str], clock: Clock) -> AnnouncedSeconds:
        """The announcements of the collectors that a second needs."""
        return AnnouncedSeconds(self._bus, clock, collectors, LISTEN_PATIENCE_S)

    def tell(self, rows: Sequence[LoggedDecision]) -> None:
        """Hand over decisions that are logged; returns at once."""
        if self._decisions is not None and rows:
            self._decisions.put(rows)

    def close(self) -> None:
        """Tell what waits, and hang up."""
        if self._decisions is not None:
            self._decisions.close()
        self._bus.close()


def open_fast_path(settings: Settings, columns: Sequence[str], fingerprint: str) -> FastPath | None:
    """The fast path that the settings ask for, None where they want no bus; nobody is spoken to yet.

    ``columns`` and ``fingerprint`` are those of the decision log. Raises SettingsError where the server's
    address or password cannot be used.
    """
    bus = open_bus(settings, LISTEN_PATIENCE_S)
    if bus is None:
        return None
    return FastPath(bus, DecisionStream(connect(settings, TELL_PATIENCE_S), columns, fingerprint))
