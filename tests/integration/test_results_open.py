"""What FreqTrade makes of our results: ``backtesting-show``, FreqUI's backtest view, ``plot-dataframe``."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.backtest.options import BacktestOptions
from squeezeflow_plugin.backtest.run import Outcome, backtest
from squeezeflow_plugin.backtest.series import MOST_POINTS, grid_of
from squeezeflow_plugin.clock import SystemClock
from tests.free_ports import free_port
from tests.integration.offline_stage import Stage, stage

# FreqTrade and its dependencies warn about each other; only what they answer counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]

STOP = 1_763_683_200  # 2025-11-21 00:00 UTC
TIMERANGE = "20251120T2230-20251121T0000"
FREQTRADE = Path(sys.executable).with_name("freqtrade")
USER, PASSWORD = "reader", "only-for-tests"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("results"), ("BTC", "ETH"), 4.5, STOP) as found:
        yield found


@pytest.fixture(scope="module")
def outcome(staged: Stage) -> Outcome:
    config = (staged.config("futures"),)
    return backtest(BacktestOptions(timerange=TIMERANGE, config=config, userdir=staged.userdir))


def freqtrade(staged: Stage, *words: str) -> str:
    line = [str(FREQTRADE), *words, "--userdir", str(staged.userdir)]
    environ = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, env=environ)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_backtesting_show_lists_the_trades(staged: Stage, outcome: Outcome) -> None:
    assert outcome.result is not None
    shown = freqtrade(staged, "backtesting-show", "--backtest-filename", str(outcome.result))
    assert outcome.summary.trades
    assert f"Total/Daily Avg Trades │ {len(outcome.summary.trades)} /" in " ".join(shown.split())


@contextmanager
def webserver(staged: Stage) -> Iterator[Callable[[str], Any]]:
    """``freqtrade webserver`` on the user's folder; gives what reads one of its paths."""
    port = free_port()
    server = {
        "enabled": True,
        "listen_ip_address": "127.0.0.1",
        "listen_port": port,
        "username": USER,
        "password": PASSWORD,
        "jwt_secret_key": "no-secret-of-anyone-but-these-tests",
    }
    config = staged.config("futures", {"api_server": server})
    line = [str(FREQTRADE), "webserver", "--userdir", str(staged.userdir), "--config", str(config)]
    token = b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def read(path: str) -> Any:
        url = f"http://127.0.0.1:{port}/api/v1/{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {token}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    log = staged.userdir / "webserver.log"
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output, start_new_session=True)
    try:
        _await(lambda: read("ping"), process, log)
        yield read
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _await(ping: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> None:
    clock = SystemClock()
    deadline = clock.now_ns() + 60 * 10**9
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            ping()
            return
        assert process.poll() is None, log.read_text()[-3000:]
        assert clock.now_ns() < deadline, log.read_text()[-3000:]
        clock.sleep_until(clock.now_ns() + 10**8)


def test_frequis_backtest_view_reads_the_result(staged: Stage, outcome: Outcome) -> None:
    assert outcome.result is not None
    name, points = outcome.result.stem, 5400 // 60
    with webserver(staged) as read:
        entries = read("backtest/history")
        assert [entry["filename"] for entry in entries] == [name]
        answer = read(f"backtest/history/result?filename={name}&strategy=SqueezeFlow")
        kept = answer["backtest_result"]["strategy"]["SqueezeFlow"]
        assert [trade["open_timestamp"] // 1000 for trade in kept["trades"]] == [
            trade.opened for trade in outcome.summary.trades
        ]
        assert points - 1 <= read(f"backtest/history/{name}/market_change")["length"] <= points + 1
        wallet = read(f"backtest/history/{name}/SqueezeFlow/wallet")
        assert points - 1 <= len(wallet["data"]) <= points + 1


def test_a_months_series_are_thin_enough_to_be_drawn() -> None:
    for days in (1, 7, 30, 365):
        assert days * 86_400 / grid_of(days * 86_400) <= MOST_POINTS


def test_plot_dataframe_draws_candles_and_phases(staged: Stage) -> None:
    config = str(staged.config("futures"))
    words = ("--config", config, "--strategy", "SqueezeFlow", "--timerange", TIMERANGE, "--no-trades")
    freqtrade(staged, "plot-dataframe", *words, "--pairs", "BTC/USDT:USDT", "--indicators2", "score")
    (plot,) = (staged.userdir / "plot").glob("*BTC*.html")
    page = plot.read_text()
    assert '"name":"score"' in page
    assert '"type":"candlestick"' in page
