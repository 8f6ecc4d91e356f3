"""Decisions for other consumers: a stream beside the bars, filled from a thread so that the bot never waits.

The decision log stays the truth. The stream holds about as many decisions of each pair as the bars' stream
holds seconds: with three pairs some 15 MB. An entry may come twice (an answer that was lost on the way is
asked for again); ``pair`` and ``second`` say which decision it is. The format stands in ``wire``.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence

import redis

from squeezeflow_plugin.bus import wire
from squeezeflow_plugin.bus.contract import HOLD_SECONDS
from squeezeflow_plugin.bus.redis import Client
from squeezeflow_plugin.store.decisions import LoggedDecision

_LOG = logging.getLogger(__name__)
_WAITING_SECONDS = 300
_PAUSE_S = 1.0


class DecisionStream:
    """Hands each second's decisions to Redis in the background.

    ``columns`` and ``fingerprint`` are those of the decision log. While the server does not answer, the last
    few minutes wait; older ones are dropped and counted in ``dropped``.
    """

    def __init__(self, client: Client, columns: Sequence[str], fingerprint: str) -> None:
        self.dropped = 0
        self._client = client
        self._columns = tuple(columns)
        self._fingerprint = fingerprint
        self._waiting: queue.Queue[tuple[LoggedDecision, ...]] = queue.Queue(_WAITING_SECONDS)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="decision-stream", daemon=True)
        self._thread.start()

    def put(self, rows: Sequence[LoggedDecision]) -> None:
        """Hand over one second's decisions; returns at once."""
        while True:
            try:
                self._waiting.put_nowait(tuple(rows))
            except queue.Full:
                self._drop_oldest()
            else:
                return

    def close(self, patience_s: float = 2.0) -> None:
        """Announce what waits, for at most ``patience_s``, and close the connection."""
        self._stopping.set()
        self.put(())
        self._thread.join(patience_s)
        self._client.close()

    def _drop_oldest(self) -> None:
        try:
            self.dropped += len(self._waiting.get_nowait())
        except queue.Empty:
            return  # the thread was faster

    def _run(self) -> None:
        failing = False
        while rows := self._waiting.get():
            while True:
                try:
                    self._announce(rows)
                except redis.RedisError as error:
                    if not failing:
                        _LOG.warning("decisions are not announced: Redis: %s", error)
                    failing = True
                    if self._stopping.wait(_PAUSE_S):
                        return
                else:
                    if failing:
                        _LOG.warning("decisions are announced again; %d were dropped", self.dropped)
                    failing = False
                    break

    def _announce(self, rows: Sequence[LoggedDecision]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for row in rows:
            pipeline.xadd(
                wire.DECISIONS_KEY,
                wire.encode_decision(row, self._columns, self._fingerprint),
                maxlen=HOLD_SECONDS * len(rows),
                approximate=True,
            )
        pipeline.execute()
