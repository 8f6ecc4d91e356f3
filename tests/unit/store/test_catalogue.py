"""The names inside a store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS, DDL, Catalogue


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for statement in DDL:
        connection.execute(statement)
    yield connection
    connection.close()


def test_another_catalogue_gives_the_same_numbers(connection: sqlite3.Connection) -> None:
    writer, reader = Catalogue(), Catalogue()
    for market in ("B:x", "A:x", "B:x"):
        writer.intern_market(connection, market)
    reader.load(connection)
    assert reader.market_ids == {"B:x": 0, "A:x": 1}
    states = [(("A:x",), ("B:x",)), ((), ("B:x",)), (("A:x",), ("B:x",))]
    assert [writer.intern_state(connection, state) for state in states] == [0, 1, 0]
    assert [writer.intern_collector(connection, name, 5) for name in ("one", "two", "one")] == [0, 1, 0]
    reader.load(connection)
    assert reader.states == states[:2]
    assert reader.collector_names == ["one", "two"]
    assert [reader.intern_state(connection, state) for state in states] == [0, 1, 0]


def test_too_many_collectors_are_refused(connection: sqlite3.Connection) -> None:
    catalogue = Catalogue()
    for number in range(1 << COLLECTOR_BITS):
        catalogue.intern_collector(connection, f"c{number}", 0)
    with pytest.raises(StoreError, match="'one-more' would be number 1025"):
        catalogue.intern_collector(connection, "one-more", 0)


def test_states_that_name_the_same_market_share_its_name(connection: sqlite3.Connection) -> None:
    writer, reader = Catalogue(), Catalogue()
    for state in ((("A:x", "B:x"), ()), (("B:x",), ("A:x",))):
        writer.intern_state(connection, state)
    reader.load(connection)
    (both, _), (_, [lost]) = reader.states
    assert both[0] is lost
