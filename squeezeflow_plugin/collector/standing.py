"""Pauses of the whole process, in which nobody read what the exchanges sent.

A process that is stopped (SIGSTOP, a frozen container, a hypervisor) goes on with connections that look as
before. Its exchanges have meanwhile dropped what did not fit into the sockets' buffers, or have hung up: what
is left is read with times from after the pause, and the end is noticed later still. So whoever stood still
for long has its markets down since then, and each connection gets a successor; what can be recovered, is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.feeds.link import FeedSink
from squeezeflow_plugin.feeds.slow_connection import SlowConnection
from squeezeflow_plugin.market import NS_PER_SECOND

_LOG = logging.getLogger(__name__)
BEARABLE_NS: Final = 20 * NS_PER_SECOND
"""How long nobody need read: an exchange sends its pings, and waits for their answers, about that long."""


class StandstillWatch:
    """Waits for the caller and looks whether the wait took longer than it should."""

    def __init__(
        self, clock: Clock, connections: Sequence[FeedConnection | SlowConnection], sink: FeedSink
    ) -> None:
        self._clock = clock
        self._connections = connections
        self._sink = sink

    async def wait_until(self, when_ns: int) -> None:
        """As the clock's; what was connected when a standstill began is down from then on, and renewed."""
        began_ns = self._clock.now_ns()
        await self._clock.wait_until(when_ns)
        late_ns = self._clock.now_ns() - max(began_ns, when_ns)
        if late_ns <= BEARABLE_NS:
            return
        reason = f"the collector stood still for {late_ns / NS_PER_SECOND:.1f} s"
        _LOG.warning("%s: every market is down from then on until its connection is renewed", reason)
        for connection in self._connections:
            if connection.plan.markets:
                self._sink.down(connection.plan.markets, began_ns, reason)
            connection.renew(reason)
