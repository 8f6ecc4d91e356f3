"""Import and export from the command line, on real trades."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

from squeezeflow_plugin.frames import build_bars
from squeezeflow_plugin.store.layout import partition_dir


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "squeezeflow_plugin.cli", *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)


def test_real_trades_go_in_and_their_bars_come_out(tmp_path: Path, shared: Path) -> None:
    trades = shared / "market_data" / "binance_btc_spot_usdm_coinm_20240808.parquet"
    store, out = tmp_path / "store.sqlite", tmp_path / "bars.csv"
    done = run("import", trades, "--store", store)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" rows\n")
    assert run("import", trades, "--store", store).stdout == f"{trades}: imported before\n"
    assert any(partition_dir(store).glob("*.bars.parquet"))  # the day that is over is rolled
    assert run("export", "-o", out, "--store", store).returncode == 0
    expected = build_bars(pd.read_parquet(trades))
    pd.testing.assert_frame_equal(pd.read_csv(out), expected, check_exact=True, check_dtype=False)
    other, again = tmp_path / "other.sqlite", tmp_path / "again.csv"
    assert run("import", out, "--store", other).returncode == 0
    assert run("export", "-o", again, "--store", other).returncode == 0
    assert again.read_bytes() == out.read_bytes()
    beside = "bars.csv.coverage.csv", "again.csv.coverage.csv"
    assert (tmp_path / beside[0]).read_bytes() == (tmp_path / beside[1]).read_bytes()


def test_what_cannot_be_used_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("market,time\n")
    done = run("import", tmp_path / "t.csv", "--store", tmp_path / "store.sqlite")
    assert done.returncode == 2
    assert done.stderr == f"squeezeflow: {tmp_path}/t.csv: column open is missing; nothing is imported\n"
    done = run("export", "-o", tmp_path / "x.csv", "--store", tmp_path / "store.sqlite")
    assert done.returncode == 2
    assert "the store holds nothing" in done.stderr
