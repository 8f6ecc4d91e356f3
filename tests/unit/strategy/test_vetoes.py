"""Reasons are named when they begin and when they are over, not each second."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from squeezeflow_plugin.features.flow import FlowRow
from squeezeflow_plugin.phases.decision import Decision, decision_of
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, VETO_REFERENCE
from squeezeflow_plugin.strategy.vetoes import REPEAT_S, RefusalLog, VetoLog, pair_veto

ROW = FlowRow(60, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)


def decision(veto_code: int = 0) -> Decision:
    return decision_of(60, np.array([veto_code if name == "veto_code" else 0.0 for name in COLUMN_NAMES]))


def test_a_feed_that_was_lost_in_this_second_is_a_veto_at_once() -> None:
    assert pair_veto(decision(), ROW, 0.98) == ""
    assert pair_veto(decision(), ROW._replace(coverage_spot=0.9), 0.98) == "feed_lost_spot"
    assert pair_veto(decision(), ROW._replace(coverage_perp=0.0), 0.98) == "feed_lost_perp"
    assert pair_veto(decision(VETO_REFERENCE), ROW._replace(coverage_perp=0.0), 0.98) == "reference_stale"


def test_a_reason_is_named_once_for_all_pairs(caplog: pytest.LogCaptureFixture) -> None:
    vetoes = VetoLog()
    with caplog.at_level(logging.INFO, "squeezeflow_plugin"):
        for second in range(100, 110):
            vetoes.note(second, {"BTC/USDT": "hole_spot_5m", "ETH/USDT": "hole_spot_5m", "SOL/USDT": ""})
        vetoes.note(110, {"BTC/USDT": "", "ETH/USDT": "hole_spot_5m", "SOL/USDT": ""})
    assert caplog.messages == [
        "BTC/USDT, ETH/USDT: no entries from second 100 on: hole_spot_5m",
        "BTC/USDT: entries are allowed again from second 110 on",
    ]


def test_a_reason_that_flickers_is_not_named_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "squeezeflow_plugin")
    vetoes = VetoLog()
    for second in range(100, 100 + 2 * REPEAT_S):
        vetoes.note(second, {"BTC/USDT": "feed_lost_spot" if second % 2 else ""})
    assert caplog.messages == [
        "BTC/USDT: no entries from second 101 on: feed_lost_spot",
        "BTC/USDT: entries are allowed again from second 102 on",
        "BTC/USDT: no entries from second 161 on: feed_lost_spot",
        "BTC/USDT: entries are allowed again from second 162 on",
    ]
    vetoes.forget(["BTC/USDT"])


def test_a_reason_that_stays_after_it_came_back_is_named_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "squeezeflow_plugin")
    vetoes = VetoLog()
    for second in range(100, 200):
        vetoes.note(second, {"BTC/USDT": "" if second == 110 else "hole_perp_1h"})
    assert [line.split(" second ")[1] for line in caplog.messages] == [
        "100 on: hole_perp_1h",
        "110 on",
        "160 on: hole_perp_1h",
    ]


def test_a_refusal_is_named_once_for_each_entry_and_kind_of_reason(caplog: pytest.LogCaptureFixture) -> None:
    refusals = RefusalLog()
    for second in range(300):
        refusals.note("BTC/USDT", "sf:6.25|e=1", f"second {second} ended {second / 10} s ago")
    refusals.note("BTC/USDT", "sf:6.25|e=1", "")
    refusals.note("ETH/USDT", "sf:5.00|e=1", "hole_spot_5m")
    refusals.note("ETH/USDT", "sf:5.00|e=1", "reference_stale")
    refusals.note("ETH/USDT", "sf:5.00|e=9", "reference_stale")
    assert [line.partition(" is refused: ")[2] for line in caplog.messages] == [
        "second 0 ended 0.0 s ago", "hole_spot_5m", "reference_stale", "reference_stale"
    ]  # fmt: skip  # one line
