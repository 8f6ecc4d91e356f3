"""Every recording of the exchanges besides Binance, through ``squeezeflow parse`` and line by line.

What aggr-server, tardis-node and crypto-msg-parser made of a line must be what we make of it, but for the
differences that ``recorded.py`` lists with their reasons.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import Parsed
from squeezeflow_plugin.feeds.parse import parse_file
from squeezeflow_plugin.feeds.registry import adapter, classify
from squeezeflow_plugin.market import Trade
from tests.integration.recorded import ANSWERS, BASE_SIZED, CONTROL, DIFFERENT, FRAMES, UNJUDGED


def frames(path: Path) -> Iterator[tuple[int, dict[str, Any], str | bytes]]:
    for number, text in enumerate(path.read_text().splitlines()):
        row = json.loads(text)
        yield number, row, row["raw"] if "raw" in row else base64.b64decode(row["raw_b64"])


def aggr_of(path: Path) -> dict[int, list[dict[str, Any]]]:
    expected = path.with_suffix(".expected_aggr.jsonl")
    if not expected.exists():
        return {}
    return {row["line"]: row["trades"] for row in map(json.loads, expected.read_text().splitlines())}


def command(exchange: str, path: Path) -> dict[int, list[Trade]]:
    """What the command writes, by line."""
    out = io.StringIO()
    parse_file(exchange, path, out, io.StringIO())
    found: dict[int, list[Trade]] = defaultdict(list)
    for row in map(json.loads, out.getvalue().splitlines()):
        line = row.pop("line")
        found[line].append(Trade(**{**row, "side": 1 if row["side"] == "buy" else -1}))
    return found


def judge_aggr(trades: list[Trade], expected: list[dict[str, Any]]) -> None:
    assert len(trades) == len(expected)
    for trade, theirs in zip(trades, expected, strict=True):
        assert trade.market.partition(":")[2] == theirs["pair"]
        assert trade.exchange_ns // 1_000_000 == int(theirs["timestamp"])
        assert trade.price == theirs["price"]
        assert trade.side == (1 if theirs["side"] == "buy" else -1)
        assert trade.liquidation == bool(theirs.get("liquidation"))
        assert math.isclose(trade.size, theirs["size"], rel_tol=1e-12)


def judge_tardis(trades: list[Trade], expected: list[dict[str, Any]], *, base_sized: bool = False) -> None:
    assert len(trades) == len(expected)
    for trade, theirs in zip(trades, expected, strict=True):
        instrument = classify(trade.market)
        assert instrument is not None
        amount = trade.quote if instrument.inverse and not base_sized else trade.size
        assert trade.price == theirs["price"]
        assert trade.side == (1 if theirs["side"] == "buy" else -1)
        assert trade.liquidation == (theirs["type"] == "liquidation")
        assert trade.exchange_ns // 1_000_000 == milliseconds(theirs["timestamp"])
        assert math.isclose(amount / instrument.contract_size, theirs["amount"], rel_tol=1e-12)
        if "id" in theirs:
            assert trade.trade_id == theirs["id"]


def judge_cmp(trades: list[Trade], expected: dict[str, str]) -> None:
    (trade, *_) = trades
    if "side" in expected:
        assert expected["side"] == ("TradeSide::Buy" if trade.side > 0 else "TradeSide::Sell")
    if "price" in expected:
        assert trade.price == float(expected["price"])
    if "quantity_base" in expected:
        assert math.isclose(trade.size, worth(expected["quantity_base"]), rel_tol=1e-12)
    if "round" not in expected.get("quantity_quote", "round"):
        assert math.isclose(trade.quote, worth(expected["quantity_quote"]), rel_tol=1e-12)


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def worth(text: str) -> float:
    """A product or quotient, as crypto-msg-parser's tests write it.

    >>> worth("100.0 * 1.0 / 4")
    25.0
    """
    first, *rest = re.split(r"\s*([*/])\s*", text)
    value = float(first)
    for sign, factor in zip(rest[::2], rest[1::2], strict=True):
        value = value * float(factor) if sign == "*" else value / float(factor)
    return value


@pytest.mark.parametrize("name", FRAMES)
def test_every_line_is_what_others_make_of_it(shared: Path, name: str) -> None:
    path = shared / "recordings" / name
    found = command(name.partition("/")[0], path)
    aggr = aggr_of(path)
    for number, row, _ in frames(path):
        trades = found.get(number, [])
        if number in FRAMES[name]:
            assert not trades
            continue
        tardis = [t for t in row.get("expected_tardis", []) if t["type"] in {"trade", "liquidation"}]
        judges: list[tuple[Any, Any]] = [
            (judge, expected)
            for judge, expected in (
                (judge_aggr, aggr.get(number)),
                (partial(judge_tardis, base_sized=name in BASE_SIZED), tardis),
                (judge_cmp, row.get("expected_cmp")),
            )
            if expected
        ]
        assert bool(judges) == bool(trades) or (name, number) in DIFFERENT, f"line {number}"
        disagree = 0
        for judge, expected in judges:
            try:
                judge(trades, expected)
            except (AssertionError, ValueError):
                if (name, number) not in DIFFERENT:
                    raise
                disagree += 1
        assert bool(disagree) == ((name, number) in DIFFERENT), f"line {number}"


@pytest.mark.parametrize("name", FRAMES)
def test_what_is_not_read_is_named(shared: Path, name: str) -> None:
    """A line without trades is of a kind that carries none, is rejected with its reason, or is a replay."""
    session = adapter(name.partition("/")[0]).session()
    for number, _, frame in frames(shared / "recordings" / name):
        try:
            parsed = session.parse(frame, 0)
        except FeedProtocolError:
            assert number in FRAMES[name]
            continue
        assert parsed != Parsed()
        assert not parsed.rejected or number in FRAMES[name]


@pytest.mark.parametrize("name", UNJUDGED)
def test_gzipped_frames_say_what_a_plain_reading_of_them_says(shared: Path, name: str) -> None:
    path = shared / "recordings" / name
    found = command("HUOBI", path)
    for number, _, frame in frames(path):
        assert isinstance(frame, bytes)
        document = json.loads(gzip.decompress(frame))
        told = document["tick"]["data"]
        symbol = document["ch"].split(".")[1]
        assert len(found[number]) == len(told)
        for trade, theirs in zip(found[number], told, strict=True):
            size = theirs["quantity"] if "-" in symbol else theirs["amount"]
            assert trade.market == f"HUOBI:{symbol}"
            assert math.isclose(trade.size, size, rel_tol=1e-12)
            assert trade.price == theirs["price"]
            assert math.isclose(trade.quote, theirs.get("trade_turnover", size * trade.price), rel_tol=1e-12)
            assert trade.exchange_ns == theirs["ts"] * 1_000_000
            assert trade.trade_id == str(theirs.get("tradeId", theirs["id"]))
            assert trade.side == (1 if theirs["direction"] == "buy" else -1)


@pytest.mark.parametrize("name", CONTROL)
def test_control_frames_carry_nothing(shared: Path, name: str) -> None:
    parsed = adapter(name.partition("/")[0]).parse((shared / "recordings" / name).read_bytes(), 0)
    assert parsed.other
    assert not parsed.trades
    assert bool(parsed.refused) == ("failure" in name or "error" in name)


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_about_instruments_agree_with_the_names(shared: Path, name: str) -> None:
    """Metadata decides, but where a name says something it must not contradict."""
    body = (shared / "recordings" / name).read_bytes()
    exchange = adapter(name.partition("/")[0])
    words = Path(name).stem.lower().split("_")
    requests = exchange.instrument_requests()
    asked = [
        request
        for request in requests
        if any(
            value.lower().rstrip("s") in {word.rstrip("s") for word in words} for _, value in request.params
        )
    ] or [request for request in requests if _fits(exchange, body, request)]
    instruments = exchange.parse_instruments(body, asked[0])
    for instrument in instruments:
        named = exchange.classify(instrument.market)
        assert named is not None
        assert (named.kind, named.base, named.quote) == (instrument.kind, instrument.base, instrument.quote)
        assert (named.settle, named.inverse) == (instrument.settle, instrument.inverse)
        assert named.symbol == instrument.symbol
        if instrument.base in {"BTC", "ETH"}:
            assert named.contract_size == instrument.contract_size
    assert instruments or "future" in name


def _fits(exchange: Any, body: bytes, request: Any) -> bool:
    try:
        exchange.parse_instruments(body, request)
    except FeedProtocolError:
        return False
    return True
