"""One client's connection to a simulated exchange, and what is published to all of them. Pure.

Whoever carries the frames - ``floor.py`` over a socket - asks a ``Conversation`` what a client's frame is
answered with, and hands it what ``published`` makes of the trades that are due.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from squeezeflow_plugin.simulator.dialect import Dialect, Frame, Stock, spelled
from squeezeflow_plugin.simulator.echoes import Echo
from squeezeflow_plugin.simulator.tape import Due


class Conversation:
    """What one client has asked for; ``path`` is the websocket's, below the exchange's own root."""

    def __init__(self, dialect: Dialect, path: str, stock: Stock) -> None:
        self.topics: set[str] = set()
        self._dialect = dialect
        self._path = path
        self._stock = stock

    def hear(self, text: str) -> list[Frame]:
        """The answers to a client's frame, replays included."""
        said = self._dialect.hear(self._path, text, self._stock)
        frames = list(said.frames)
        for name in said.replayed:
            frames += self._dialect.replay(self._stock.markets[name], self._stock)
        self.topics.update(said.topics)
        return frames

    def heartbeat(self) -> list[Frame]:
        """What the server says by itself when its time has come."""
        return self._dialect.heartbeat(self._path, frozenset(self.topics), self._stock.now_ms)


def published(dialect: Dialect, market: Echo, due: Due, now_ms: int) -> Iterator[tuple[str, Sequence[Frame]]]:
    """What is due, as frames by topic."""
    rows = spelled(market, due.minute.trades.select(due.rows))
    for start in range(0, len(rows), dialect.rows_a_frame):
        yield market.market, dialect.trades(market, rows[start : start + dialect.rows_a_frame], now_ms)
    if len(due.forced):
        forced = spelled(market, due.forced)
        yield dialect.liquidation_topic(market), dialect.liquidations(market, forced, now_ms)
