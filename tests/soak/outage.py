"""InfluxDB dead for ten minutes of a large collector: the seconds are generated, nobody waits for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from squeezeflow_plugin.collector.shipping import open_shipper
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store.admin import verify_database
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.influx_server import InfluxDaemon
from tests.soak.oracle import Verdict
from tests.soak.outcome import Outcome
from tests.soak.stage import CLOCK, now_s, wait_for

MARKETS = tuple(sorted(f"BINANCE:coin{number:02d}usdt" for number in range(80)))
FIRST_SECOND = 1_767_225_600
BEFORE_S = 60


def generate(seed: int, seconds: int) -> Iterator[ClosingRecord]:
    """A bar of every market in every second, and one of a minute ago revised."""
    rng = random.Random(seed)
    for second in range(FIRST_SECOND, FIRST_SECOND + seconds):
        bars = tuple(_bar(rng, market, second, 0) for market in MARKETS)
        revised: tuple[Bar, ...] = ()
        if second % 60 == 59:
            revised = (_bar(rng, rng.choice(MARKETS), second - 50, 1),)
        yield ClosingRecord(
            "main", second, (second + 1) * 10**9 + 400_000_000, bars, revised, MARKETS, (), ()
        )


def _bar(rng: random.Random, market: str, second: int, revision: int) -> Bar:
    low, high = sorted(round(rng.uniform(100, 101), 4) for _ in range(2))
    buy, sell = rng.expovariate(1e-4), rng.expovariate(1e-4)
    return Bar(
        market, second, low, high, low, high, buy, sell,
        rng.randint(1, 40), rng.randint(1, 40), 0.0, 0.0, revision,
    )  # fmt: skip  # one line a group of fields


def run_outage(folder: Path, seed: int, seconds: int) -> Outcome:
    """``seconds`` of bars while influxd is killed; then it is started and has to be caught up with."""
    began = now_s()
    daemon = InfluxDaemon(folder / "influxd")
    daemon.start()
    settings = daemon.settings(data_dir=folder / "data")
    store = EmbeddedBarStore(settings.store_path)
    shipper = open_shipper(settings, CLOCK)
    assert shipper is not None
    records = list(generate(seed, BEFORE_S + seconds))
    try:
        store.append(records[:BEFORE_S])
        shipper.start()
        wait_for("the seconds before are shipped", lambda: shipper.status.records == BEFORE_S)
        before = _size(settings.data_dir)
        daemon.kill()
        for record in records[BEFORE_S:]:
            store.append([record])
            shipper.wake()
        wait_for("the outage is noticed", lambda: shipper.status.lag_s == seconds)
        lag_s, spool = shipper.status.lag_s, _size(settings.data_dir) - before
        daemon.start()
        started = now_s()
        last = records[-1].second
        wait_for("everything is shipped", lambda: dict(shipper.status.positions).get("main") == last, 120)
        caught_up_s = now_s() - started
        shipper.stop(30)
        compared = verify_database(settings, 0, 2**40)
        kept = list(store.records(0, 2**40))
        columns = store.bars(0, 2**40)
    finally:
        shipper.stop(0)
        store.close()
        daemon.kill()
    wrong = sum(one != two for one, two in zip(kept, records, strict=False))
    trades = int(columns.cbuy.sum() + columns.csell.sum())
    return Outcome(
        schedule="influx-outage",
        seed=seed,
        faults={"kill_influx": 1},
        verdict=Verdict(
            seconds=len(records),
            trades=trades,
            bars=len(columns),
            lost=max(0, len(records) - len(kept)),
            duplicated=max(0, len(columns) - len(records) * len(MARKETS)),
            wrong=wrong,
        ),
        influx_differences=compared.differences + compared.waiting + len(records) - compared.records,
        catch_up_s=caught_up_s,
        peak_spool_s=lag_s,
        peak_spool_bytes=spool,
        elapsed_s=now_s() - began,
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
