"""Sweeps: one table whoever runs it, taken up where it was broken off, failures as rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import LocalCluster

from squeezeflow_plugin.backtest.options import BacktestOptions
from squeezeflow_plugin.backtest.run import backtest
from squeezeflow_plugin.backtest.sweep import run_sweep, sweep
from squeezeflow_plugin.backtest.sweep_options import SweepOptions, grid
from squeezeflow_plugin.errors import BacktestError, ParameterError
from tests.integration.offline_stage import Stage, stage

# FreqTrade and its dependencies warn about each other; only what they answer counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

STOP = 1_763_683_200  # 2025-11-21 00:00 UTC
TIMERANGE = "20251120T2230-20251121T0000"
SETS = grid([("min_score", [4.0, 6.0]), ("exit_threshold", [2.0, 4.0])])


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("sweep"), ("BTC", "ETH"), 4.5, STOP) as found:
        yield found


@pytest.fixture
def options(staged: Stage, tmp_path: Path) -> SweepOptions:
    base = BacktestOptions(
        config=(staged.config("futures"),), userdir=staged.userdir, export="none", report=False
    )
    return SweepOptions(base, SETS, (TIMERANGE,), jobs=2, out=tmp_path / "sweep.jsonl")


def test_a_sweep_is_taken_up_where_it_was_broken_off(options: SweepOptions) -> None:
    first = sweep(replace(options, sets=SETS[:2]))
    lines = options.out.read_bytes().splitlines(keepends=True)
    options.out.write_bytes(lines[0] + lines[1][:-20])  # killed while it wrote
    whole = sweep(options)
    assert [each.params for each in whole] == list(SETS)
    assert whole[:2] == first
    assert len({each.key for each in whole}) == len(SETS)
    assert all(each.measures["trades"] > 0 for each in whole[:2])
    written = options.out.read_bytes()
    assert sweep(options) == whole
    assert options.out.read_bytes() == written, "nothing was run again"
    table = io.StringIO()
    assert run_sweep(options, table) == 0
    assert table.getvalue().splitlines()[0].startswith("timerange,pairs,exit_threshold,min_score,seconds,")
    assert len(table.getvalue().splitlines()) == 1 + len(SETS)


def test_a_run_of_a_sweep_is_the_backtest_with_these_parameters(
    options: SweepOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    (swept,) = sweep(replace(options, sets=SETS[1:2], jobs=1))
    monkeypatch.setenv("SQUEEZEFLOW_PARAMS", '{"min_score": 4.0, "exit_threshold": 4.0}')
    summary = backtest(replace(options.base, timerange=TIMERANGE)).summary
    assert swept.measures["trades"] == len(summary.trades)
    assert swept.measures["profit_quote"] == summary.final_balance - summary.starting_balance
    assert swept.measures["events"] == summary.events


def test_a_run_that_fails_is_a_row_that_says_why(options: SweepOptions) -> None:
    asked = replace(options, sets=({},), timeranges=("20251120T2230-20251120T2330", "20240101-20240102"))
    ran, failed = sweep(replace(asked, jobs=1))
    assert ran.measures["error"] == ""
    assert "nothing of what was asked for" in failed.measures["error"]
    assert run_sweep(asked, io.StringIO()) == 1


def test_what_cannot_be_run_is_refused_before_anything_is(options: SweepOptions) -> None:
    with pytest.raises(ParameterError, match="min_score"):
        sweep(replace(options, sets=({"min_score": 12.0},)))
    options.out.write_text("no run\n")
    with pytest.raises(BacktestError, match="line 1 is no finished run"):
        sweep(options)


def test_a_cluster_of_two_workers_gives_the_same_table(options: SweepOptions, tmp_path: Path) -> None:
    sets = grid(
        [("min_score", (3.5, 4.0, 5.0, 6.0)), ("exit_threshold", (1.0, 2.0, 4.0)), ("rearm", (60, 300))]
    )
    asked = replace(options, sets=sets, timeranges=("20251120T2300-20251121T0000",))
    here = _table(asked)
    with LocalCluster(  # type: ignore[no-untyped-call]  # Dask leaves it untyped
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        there = replace(asked, scheduler=cluster.scheduler_address, out=tmp_path / "cluster.jsonl")
        assert _table(there) == here
    assert len(here) == 1 + 24
    assert len({line.partition(",,")[2] or line for line in here}) > 4, "the sets make a difference"


def _table(options: SweepOptions) -> list[str]:
    table = io.StringIO()
    assert run_sweep(options, table) == 0
    return table.getvalue().splitlines()
