"""Recorded trades played through the whole system: their bars and their scores come out as from the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin import build_bars, score_frame
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.integration.job import end, lines_until, start
from tests.reference.known_frame import known_frame

SECONDS = 60
ROWS = 7800
MARKETS = ("BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt")
FIELDS = ("open", "high", "low", "close", "vbuy", "vsell", "cbuy", "csell", "lbuy", "lsell")


@pytest.mark.slow
def test_replayed_trades_give_the_bars_and_scores_of_the_file(shared: Path, tmp_path: Path) -> None:
    recorded = pd.read_parquet(shared / "market_data/binance_btc_spot_usdm_coinm_20240808.parquet")
    recorded = recorded[recorded["market"].isin(MARKETS)]
    begin = int(recorded["ts_ms"].min()) // 1000
    recorded = recorded[recorded["ts_ms"] < (begin + SECONDS) * 1000]
    recorded.to_parquet(tmp_path / "slice.parquet")
    process = start(
        tmp_path, "--seconds", str(SECONDS + 2), "--json", "--replay", str(tmp_path / "slice.parquet")
    )
    try:
        lines = list(lines_until(process, "{"))
        status = process.wait(60)
    finally:
        end(process)
    assert status == 0, "\n".join(lines[-20:])
    summary = json.loads(lines[-1])
    assert (summary["errors"], summary["seconds_missed"]) == ([], 0)
    data_dir = tmp_path / summary["data_dir"]
    first = json.loads((data_dir / "run/simulator.json").read_text(encoding="utf-8"))["first_second"]
    store = EmbeddedBarStore(data_dir / "store.sqlite", readonly=True)
    log = DecisionLog(data_dir / "decisions.sqlite", readonly=True)
    try:
        same_bars(store, recorded.assign(ts_ms=recorded["ts_ms"] + (first - begin) * 1000), first)
        same_scores(store, log, first)
    finally:
        log.close()
        store.close()


def same_bars(store: EmbeddedBarStore, trades: pd.DataFrame, first: int) -> None:
    expected = build_bars(trades)
    stored = store.bars(first, first + SECONDS, MARKETS)
    names = np.array(stored.names)[stored.market]
    assert names.tolist() == expected["market"].tolist()
    assert stored.second.tolist() == expected["time"].tolist()
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(stored, field), expected[field].to_numpy(), err_msg=field)


def same_scores(store: EmbeddedBarStore, log: DecisionLog, first: int) -> None:
    rows = {row.second: row for row in log.read(first, first + SECONDS, ["BTC/USDT"])}
    assert list(rows) == list(range(first, first + SECONDS))
    for second, row in rows.items():
        scored = score_frame(known_frame(store, "btcusdt", second, ROWS)).iloc[-1]
        for name in scored.index.difference(["veto"]):
            assert row.value(name) == scored[name], (second, name)
        assert row.veto == scored["veto"]
