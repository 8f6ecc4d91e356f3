"""One suite over every exchange: what its own frames must yield, and what the contract asks of all of them.

``tests/frames/<module>.jsonl`` is found by the name of the adapter's module. Its first row holds
``instruments``; each of the others a frame (``raw`` or ``raw_b64``, ``recv_ns`` where it matters) and either
the whole ``parsed`` value, fields at their default left out, or the exact ``error``. ``before`` holds frames
that the connection must have sent earlier, such as which number stands for which market.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, FrameParser, Parsed, StreamPlan
from squeezeflow_plugin.feeds.registry import adapter, found, names
from squeezeflow_plugin.market import Instrument, Side
from squeezeflow_plugin.settings import Endpoint

FRAMES = Path(__file__).parents[1] / "frames"
MODULES = {name: found()[name].__module__.rpartition(".")[2] for name in names()}


def rows(name: str) -> list[dict[str, Any]]:
    path = FRAMES / f"{MODULES[name]}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def instruments(name: str) -> list[Instrument]:
    return msgspec.convert(rows(name)[0]["instruments"], list[Instrument])


def frame_of(row: dict[str, Any]) -> str | bytes:
    return base64.b64decode(row["raw_b64"]) if "raw_b64" in row else str(row["raw"])


def reader(name: str, row: dict[str, Any], plan: StreamPlan | None = None) -> FrameParser:
    """A session that has read what the row's frame presupposes."""
    session = adapter(name).session(plan)
    for frame in row.get("before", []):
        session.parse(frame, 0)
    return session


def plain(parsed: Parsed) -> dict[str, Any]:
    """As the frames files spell it: fields by name, those at their default left out."""
    values = {field: getattr(parsed, field) for field in Parsed.__struct_fields__}
    return {field: builtin(value) for field, value in values.items() if value}


def builtin(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {field: builtin(getattr(value, field)) for field in value.__struct_fields__}
    return [builtin(item) for item in value] if isinstance(value, tuple) else value


CASES = [(name, row) for name in names() for row in rows(name)[1:]]


def test_every_exchange_has_frames_and_every_frames_file_an_exchange() -> None:
    assert {path.stem for path in FRAMES.glob("*.jsonl")} == set(MODULES.values())
    for name in names():
        kinds = {"error" if "error" in row else "parsed" for row in rows(name)[1:]}
        assert kinds == {"error", "parsed"}, f"{name} needs frames that parse and frames that do not"
        assert any(row.get("parsed", {}).get("trades") for row in rows(name)), f"{name} has no trade"


@pytest.mark.parametrize(("name", "row"), CASES, ids=[f"{name}-{row['about']}" for name, row in CASES])
def test_frame_yields_exactly_what_its_row_says(name: str, row: dict[str, Any]) -> None:
    received_ns = row.get("recv_ns", 0)
    if "error" in row:
        with pytest.raises(FeedProtocolError) as caught:
            reader(name, row).parse(frame_of(row), received_ns)
        assert str(caught.value) == row["error"]
    else:
        assert plain(reader(name, row).parse(frame_of(row), received_ns)) == row["parsed"]
    if "before" not in row:
        alone = outcome(adapter(name).parse, frame_of(row), received_ns)
        assert alone == outcome(reader(name, row).parse, frame_of(row), received_ns)


@pytest.mark.parametrize(("name", "row"), CASES, ids=[f"{name}-{row['about']}" for name, row in CASES])
def test_text_and_bytes_and_sessions_agree(name: str, row: dict[str, Any]) -> None:
    """A session that has read other shapes before, or knows the plan, reads each frame the same."""
    frame, received_ns = frame_of(row), row.get("recv_ns", 0)
    other = frame.encode() if isinstance(frame, str) else frame
    session = reader(name, row)
    for _, before in CASES[:12]:
        outcome(session.parse, frame_of(before), 0)
    assert builtin(outcome(session.parse, other, received_ns)) == builtin(
        outcome(session.parse, frame, received_ns)
    )
    first, second = (
        outcome(reader(name, row).parse, frame, received_ns),
        outcome(session.parse, frame, received_ns),
    )
    assert first == second


def outcome(parse: Any, frame: str | bytes, received_ns: int) -> Parsed | str:
    try:
        parsed = parse(frame, received_ns)
    except FeedProtocolError as error:
        return type(error).__name__
    assert isinstance(parsed, Parsed)
    return parsed


@pytest.mark.parametrize("name", names())
def test_plans_carry_each_market_once_and_say_what_they_ask_for(name: str) -> None:
    known = instruments(name)
    plans = adapter(name).plan(known)
    carried = [market for plan in plans for market in plan.markets]
    assert sorted(carried) == sorted(i.market for i in known)
    for plan in plans:
        assert plan.exchange == name
        assert urlsplit(plan.url).scheme == "wss"
        assert plan.instruments
        asked = [market for subscription in plan.subscribe for market in subscription.markets]
        assert sorted(asked) == sorted(plan.markets)
        assert all(market.partition(":")[0] == name for market in carried)
    assert adapter(name).plan([]) == ()


@pytest.mark.parametrize("name", names())
def test_a_session_of_each_plan_reads_the_trades_of_its_markets(name: str) -> None:
    """Contract sizes come from the plan's instruments; here they are those the frames were written with.

    A connection's first trades may be marked as a replay.
    """
    read: set[str] = set()
    for plan in adapter(name).plan(instruments(name)):
        markets = {instrument.market for instrument in plan.instruments}
        for row in rows(name)[1:]:
            trades = row.get("parsed", {}).get("trades", [])
            if trades and {trade["market"] for trade in trades} <= markets:
                parsed = reader(name, row, plan).parse(frame_of(row), row.get("recv_ns", 0))
                assert builtin(parsed.replayed + parsed.trades) == trades
                read |= markets
    assert read, "no plan's session read a trade"


@pytest.mark.parametrize("name", names())
def test_base_urls_can_be_replaced(name: str) -> None:
    stand_in = adapter(name, Endpoint(rest="http://127.0.0.1:1/rest", ws="ws://127.0.0.1:1/ws"))
    for request in stand_in.instrument_requests():
        assert request.url.startswith("http://127.0.0.1:1/rest/")
    for plan in stand_in.plan(instruments(name)):
        assert plan.url.startswith("ws://127.0.0.1:1/ws/")
    for request in adapter(name).instrument_requests():
        assert urlsplit(request.url).scheme == "https"


@pytest.mark.parametrize("name", names())
def test_says_its_time_unit_and_whether_ids_follow_each_other(name: str) -> None:
    exchange = adapter(name)
    assert exchange.name == name
    kinds = {instrument.market: instrument.kind for instrument in instruments(name)}
    assert exchange.time_unit_ns in {1, 1_000, 1_000_000, 1_000_000_000}
    for row in rows(name)[1:]:
        for trade in row.get("parsed", {}).get("trades", []):
            assert trade["exchange_ns"] % exchange.time_unit_ns == 0
            assert trade["side"] in set(Side)
            if kinds.get(trade["market"]) in exchange.contiguous_ids and not trade["liquidation"]:
                assert trade["trade_id"].isdecimal()


@pytest.mark.parametrize("name", names())
def test_a_frame_cut_anywhere_raises_nothing_but_a_protocol_error(name: str) -> None:
    for row in rows(name)[1:]:
        frame = frame_of(row)
        for length in range(len(frame)):
            outcome(adapter(name).parse, frame[:length], 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def json_of(row: dict[str, Any]) -> Any:
    """The document of a frame that parses, None where it is a binary one or not JSON's object or list."""
    if "parsed" not in row or "raw" not in row or not str(row["raw"]).startswith(("{", "[")):
        return None
    return json.loads(row["raw"])


def spoil(document: Any, data: st.DataObject) -> None:
    """Replace something, anywhere in it, by anything."""
    while True:
        keys = sorted(document) if isinstance(document, dict) else range(len(document))
        key = data.draw(st.sampled_from(keys))
        inner = document[key]
        if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
            document[key] = data.draw(JSON)
            return
        document = inner


@pytest.mark.parametrize("name", names())
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_frame_with_anything_in_any_field_raises_nothing_but_a_protocol_error(
    name: str, data: st.DataObject
) -> None:
    row = data.draw(st.sampled_from([row for row in rows(name)[1:] if json_of(row) is not None]))
    document = json_of(row)
    spoil(document, data)
    outcome(reader(name, row).parse, json.dumps(document), 0)
    outcome(adapter(name).parse, data.draw(st.text() | st.binary()), 0)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("frame", ["[" * 100_000, '{"a":' * 100_000, "\ud800", b"\xff\xfe", "null", "5"])
def test_hostile_frames_raise_nothing_but_a_protocol_error(name: str, frame: str | bytes) -> None:
    assert outcome(adapter(name).parse, frame, 0) == "FeedProtocolError"


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"symbols":[{}]}', b"\xff"])
def test_an_unreadable_answer_about_instruments_is_named(name: str, body: bytes) -> None:
    exchange: ExchangeAdapter = adapter(name)
    for request in exchange.instrument_requests():
        with pytest.raises(FeedProtocolError, match=request.url.partition("?")[0]):
            exchange.parse_instruments(body, request)
