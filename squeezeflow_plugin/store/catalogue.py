"""The names inside a bar store: markets, collectors and coverage states by number.

Numbers are dense and never change; tables only grow. A reader loads them again when it meets a number it does
not know, a writer when another process has written in between.
"""

from __future__ import annotations

import sqlite3
import sys

import msgspec

from squeezeflow_plugin.errors import StoreError

COLLECTOR_BITS = 10  # up to 1,024 collectors in one store

DDL = (
    "CREATE TABLE markets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE collectors (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first INTEGER NOT NULL, last INTEGER NOT NULL
    )""",
    "CREATE TABLE coverage_states (id INTEGER PRIMARY KEY, names BLOB NOT NULL)",
)

CoverageState = tuple[tuple[str, ...], tuple[str, ...]]  # markets covered, markets not covered


class Catalogue:
    """The tables in memory; the caller sees to transactions and to loading."""

    def __init__(self) -> None:
        self.market_names: list[str] = []
        self.market_ids: dict[str, int] = {}
        self.collector_names: list[str] = []
        self.collector_ids: dict[str, int] = {}
        self.states: list[CoverageState] = []
        self._state_ids: dict[CoverageState, int] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Read whatever the tables hold beyond what is known already."""
        known = (len(self.market_names), len(self.collector_names), len(self.states))
        for (name,) in connection.execute("SELECT name FROM markets WHERE id >= ? ORDER BY id", known[:1]):
            self._add_market(name)
        for (name,) in connection.execute(
            "SELECT name FROM collectors WHERE id >= ? ORDER BY id", known[1:2]
        ):
            self._add_collector(name)
        for (names,) in connection.execute(
            "SELECT names FROM coverage_states WHERE id >= ? ORDER BY id", known[2:]
        ):
            self._add_state(msgspec.msgpack.decode(names, type=CoverageState))

    def intern_market(self, connection: sqlite3.Connection, name: str) -> None:
        """Give the market a number if it has none."""
        if name not in self.market_ids:
            connection.execute("INSERT INTO markets VALUES (?, ?)", (len(self.market_names), name))
            self._add_market(name)

    def intern_collector(self, connection: sqlite3.Connection, name: str, second: int) -> int:
        """The collector's number; a new collector starts at ``second``."""
        if name not in self.collector_ids:
            if len(self.collector_names) >> COLLECTOR_BITS:
                raise StoreError(
                    f"collector {name!r} would be number {len(self.collector_names) + 1}, a store"
                    f" takes {1 << COLLECTOR_BITS}; nothing was stored"
                )
            row = (len(self.collector_names), name, second, second - 1)
            connection.execute("INSERT INTO collectors VALUES (?, ?, ?, ?)", row)
            self._add_collector(name)
        return self.collector_ids[name]

    def intern_state(self, connection: sqlite3.Connection, state: CoverageState) -> int:
        """The number of a coverage state."""
        number = self._state_ids.get(state)
        if number is None:
            number = len(self.states)
            row = (number, msgspec.msgpack.encode(state))
            connection.execute("INSERT INTO coverage_states VALUES (?, ?)", row)
            self._add_state(state)
        return number

    def state_id(self, state: CoverageState) -> int:
        """The number of a coverage state that is there; KeyError for another one."""
        return self._state_ids[state]

    def _add_market(self, name: str) -> None:
        self.market_ids[name] = len(self.market_names)
        self.market_names.append(name)

    def _add_collector(self, name: str) -> None:
        self.collector_ids[name] = len(self.collector_names)
        self.collector_names.append(name)

    def _add_state(self, state: CoverageState) -> None:
        # Of a year's states each names all markets: one string a name, not one a state, is an eighth of it.
        covered, uncovered = state
        state = tuple(map(sys.intern, covered)), tuple(map(sys.intern, uncovered))
        self._state_ids[state] = len(self.states)
        self.states.append(state)
