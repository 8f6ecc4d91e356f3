"""`freqtrade hyperopt` on two jobs over a simulated day: what the first epochs take, and what the others do.

One JSON object. Two epochs run side by side, so times are those of rounds of two. The first one has all
that is made once: FreqTrade's start, the store's Parquet, the recorded features, the workers' start.
Arguments: the number of epochs (50), the hours searched (20).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file, and the tests' stage

from benchmarks.measuring import figure, machine
from squeezeflow_plugin.store.rolling import StoreKeeper
from tests.integration.offline_stage import Stage, stage

STOP = 1_763_683_200  # 2025-11-21 00:00 UTC
WARMUP_HOURS = 4.5
ASSETS = ("BTC", "ETH")
POLL_S = 0.01


def command(staged: Stage, epochs: int, hours: int) -> list[str]:
    line = [str(Path(sys.executable).with_name("freqtrade")), "hyperopt", "--strategy", "SqueezeFlow"]
    line += ["--userdir", str(staged.userdir), "--config", str(staged.config("futures"))]
    line += ["--timerange", f"{STOP - hours * 3600}-{STOP}", "--timeframe-detail", "1s", "--print-all"]
    line += ["--hyperopt-loss", "SqueezeFlowLoss", "--spaces", "buy", "sell", "protection"]
    return [*line, "-j", "2", "--epochs", str(epochs), "--random-state", "1"]


def rounds(staged: Stage, line: list[str], log: Path) -> Iterator[float]:
    """Seconds of each round of epochs: until its results are written, the first since the command's start."""
    results = staged.userdir / "hyperopt_results"
    seen, since = 0, time.perf_counter()
    with log.open("w") as out:
        search = subprocess.Popen(line, stdout=out, stderr=subprocess.STDOUT, cwd=staged.userdir)  # noqa: S603 - our own line
        while search.poll() is None:
            time.sleep(POLL_S)
            written = sum(path.read_bytes().count(b"\n") for path in results.glob("*.fthypt"))
            if written >= seen + 2:
                now = time.perf_counter()
                yield now - since
                seen, since = written, now
    if search.returncode != 0:
        raise SystemExit(log.read_text()[-4000:])


def main() -> None:
    epochs, hours = (int(each) for each in (*sys.argv[1:], *("50", "20")[len(sys.argv) - 1 :]))
    with (
        tempfile.TemporaryDirectory() as name,
        stage(Path(name), ASSETS, hours + WARMUP_HOURS, STOP) as staged,
    ):
        keeper = StoreKeeper(staged.store)
        keeper.roll_over(STOP)
        keeper.close()
        took = list(rounds(staged, command(staged, epochs, hours), Path(name) / "hyperopt.log"))
        lines = next((staged.userdir / "hyperopt_results").glob("*.fthypt")).read_text().splitlines()
        trades = [json.loads(line)["results_metrics"]["total_trades"] for line in lines]
        applied = (staged.userdir / "strategies" / "SqueezeFlow.json").is_file()
    first, later = took[0], median(took[1:])
    report = {
        **machine(),
        "epochs": len(trades),
        "pair_hours_an_epoch": hours * len(ASSETS),
        "trades_an_epoch": figure(median(trades), "trades"),
        "seconds_of_each_round_of_two": [round(each, 2) for each in took],
        "first_round": figure(first, "s"),
        "later_round": figure(later, "s"),
        "first_to_later": figure(first / later, "times", 5.0),
        "parameter_file_written": applied,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
