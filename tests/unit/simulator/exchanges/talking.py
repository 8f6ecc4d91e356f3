"""A simulated exchange as one client hears it: what it answers to a frame, and to a question."""

from __future__ import annotations

import gzip
import json
from typing import Any

from squeezeflow_plugin.simulator.conversation import Conversation
from squeezeflow_plugin.simulator.dialect import Ask, Frame, Refused, Row, Stock
from squeezeflow_plugin.simulator.echoes import Echo
from squeezeflow_plugin.simulator.peers import dialects, echoes
from squeezeflow_plugin.simulator.profiles import asset_profile
from tests.unit.simulator.markets import ORIGIN, venue_of

NOW_MS = (ORIGIN + 90) * 1000
ROW = Row(NOW_MS, 7, "65000.5", "2", -1)


class Talk:
    """One exchange with a minute and a half of trades of BTC."""

    def __init__(self, name: str) -> None:
        venue = venue_of("BTC", echoes=echoes([name], [asset_profile("BTC")]))
        venue.extend(ORIGIN + 180)
        self.dialect = dialects()[name]
        self.stock = Stock(venue.echoes, lambda market: venue.tapes[market].trades(NOW_MS), lambda: NOW_MS)
        self.topics: set[str] = set()

    def says(self, path: str, frame: str | dict[str, Any]) -> list[Any]:
        """The answers; what was subscribed is in ``topics`` then."""
        talk = Conversation(self.dialect, path, self.stock)
        frames = talk.hear(frame if isinstance(frame, str) else json.dumps(frame))
        self.topics = talk.topics
        return [plain(each) for each in frames]

    def tells(self, path: str, body: Any = None, **query: str) -> Any:
        """The REST answer; a refusal is its status."""
        try:
            return self.dialect.answer(Ask(path, query, body), self.stock)
        except Refused as refused:
            return refused.status

    def market(self, name: str) -> Echo:
        return self.stock.markets[name]

    def trades(self, name: str, *rows: Row) -> list[Any]:
        """Frames of new trades."""
        return [plain(each) for each in self.dialect.trades(self.market(name), rows, NOW_MS)]

    def forced(self, name: str, *rows: Row) -> list[Any]:
        """Frames of liquidations."""
        return [plain(each) for each in self.dialect.liquidations(self.market(name), rows, NOW_MS)]

    def newest_id(self, name: str) -> int:
        return int(self.stock.past(self.market(name)).ids[-1])


def plain(frame: Frame) -> Any:
    """A frame as Python's values, or as the text that it is."""
    text = frame if isinstance(frame, str) else gzip.decompress(frame).decode()
    return json.loads(text) if text.startswith(("{", "[")) else text
