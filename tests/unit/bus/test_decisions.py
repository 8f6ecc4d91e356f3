"""Decisions reach other consumers in the documented format, and the bot never waits for Redis."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.bus import decisions, wire
from squeezeflow_plugin.bus.decisions import DecisionStream
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.store.decisions import LoggedDecision
from tests.redis_server import RedisServer

T0 = 1_723_161_600


def row(second: int, pair: str = "BTC/USDT") -> LoggedDecision:
    return LoggedDecision(pair, second, second, second * 10**9 + 1_430_000_000, 430.0, (6.5, math.nan), "")


def wait_for_entries(client: Any, count: int) -> list[Any]:
    clock = SystemClock()
    deadline = clock.now_ns() + 30 * 10**9
    while client.xlen(wire.DECISIONS_KEY) < count and clock.now_ns() < deadline:
        clock.sleep_until(clock.now_ns() + 10**7)
    return list(client.xrange(wire.DECISIONS_KEY))


def test_an_entry_is_what_is_documented(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        stream = DecisionStream(server.client(), ("score", "oi_change"), "engine-1")
        stream.put([row(T0), row(T0, "ETH/USDT")])
        stream.close()
        entries = [fields for _, fields in server.client().xrange(wire.DECISIONS_KEY)]
    finally:
        server.kill()
    assert [(e[b"v"], e[b"pair"], int(e[b"second"])) for e in entries] == [
        (b"1", b"BTC/USDT", T0),
        (b"1", b"ETH/USDT", T0),
    ]
    assert json.loads(entries[0][b"d"]) == {
        "pair": "BTC/USDT",
        "second": T0,
        "known": T0,
        "decided_ns": T0 * 10**9 + 1_430_000_000,
        "latency_ms": 430.0,
        "veto": "",
        "fingerprint": "engine-1",
        "values": {"score": 6.5, "oi_change": None},
    }


def test_a_dead_server_costs_the_bot_nothing_and_gets_the_last_minutes_when_it_is_back(
    tmp_path: Path,
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        stream = DecisionStream(server.client(), ("score", "oi_change"), "engine-1")
        server.kill()
        clock = SystemClock()
        started = clock.now_ns()
        for second in range(T0, T0 + 1000):
            stream.put([row(second)])
        assert clock.now_ns() - started < 10**9
        assert 690 <= stream.dropped <= 700
        server.start()
        kept = 1000 - stream.dropped
        seconds = [int(fields[b"second"]) for _, fields in wait_for_entries(server.client(), kept)]
        assert seconds[-1] == T0 + 999
        assert len(set(seconds)) == kept
        stream.close()
    finally:
        server.kill()


def test_the_stream_holds_as_many_decisions_of_each_pair_as_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "HOLD_SECONDS", 200)
    server = RedisServer(tmp_path)
    server.start()
    try:
        stream = DecisionStream(server.client(), ("score", "oi_change"), "engine-1")
        for second in range(T0, T0 + 250):
            stream.put([row(second), row(second, "ETH/USDT")])
        stream.close()
        held = server.client().xlen(wire.DECISIONS_KEY)
    finally:
        server.kill()
    assert 400 <= held < 500  # trimmed by whole nodes
