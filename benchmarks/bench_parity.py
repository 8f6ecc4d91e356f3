"""A day of three assets decided live and made again: as known, as final, and with one trade flipped.

Prints JSON: seconds compared, how many differ, whether exactly the injected revisions are found as causes,
whether the flipped trade is found at its second, and how long each comparison took.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.provider.digest import input_digest
from squeezeflow_plugin.provider.final_parity import compare_final
from squeezeflow_plugin.provider.replay import Replay, compare
from squeezeflow_plugin.provider.timeline import TimelineSpec, numbers_of
from squeezeflow_plugin.simulator.run import SimulatorOptions, write_hours
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.strategy.columns import LOGGED, shown

ASSETS = ("BTC", "ETH", "SOL")
STOP = 1_763_683_200
WARMUP_S = 9_000
REVISIONS = 200
MARKET = "BINANCE_FUTURES:btcusdt"
SPEC = TimelineSpec(Params(), hold_rows=8_100, horizon_s=600)


def revised(records: Iterator[ClosingRecord], start: int) -> Iterator[ClosingRecord]:
    """Some bars from ``start`` on are known with half of their buys first, and whole up to 300 s later."""
    rng = np.random.default_rng(1)
    seconds = np.sort(rng.choice(STOP - 700 - start, REVISIONS, replace=False) + start)
    late = dict(zip(seconds.tolist(), rng.integers(1, 300, REVISIONS).tolist(), strict=True))
    coming: dict[int, list[Bar]] = {}
    for record in records:
        bars = list(record.bars)
        place = next((n for n, bar in enumerate(bars) if bar.vbuy > 0), None)
        if record.second in late and place is not None:
            whole = bars[place]
            bars[place] = msgspec.structs.replace(whole, vbuy=whole.vbuy / 2)
            again = msgspec.structs.replace(whole, revision=1)
            coming.setdefault(record.second + late[record.second], []).append(again)
        yield msgspec.structs.replace(
            record, bars=tuple(bars), revisions=tuple(coming.pop(record.second, ()))
        )


def flipped(records: Iterator[ClosingRecord], second: int) -> Iterator[ClosingRecord]:
    """One trade's taker side is the other one."""
    for record in records:
        if record.second == second:
            bars = tuple(
                msgspec.structs.replace(bar, vbuy=bar.vsell, vsell=bar.vbuy) if bar.market == MARKET else bar
                for bar in record.bars
            )
            yield msgspec.structs.replace(record, bars=bars)
        else:
            yield record


def store_of(path: Path, source: EmbeddedBarStore, records: Iterator[ClosingRecord]) -> EmbeddedBarStore:
    store = EmbeddedBarStore(path)
    store.put_instruments(source.instruments())
    store.append(records)
    return store


def log_all(live: Replay, log: DecisionLog) -> None:
    """Decide every second and log it as a bot would."""
    rows = []
    for scored in live.run(STOP):
        d = scored.decision
        digest = input_digest(live.desk.timelines[scored.pair].rows.row(d.second))
        numbers = (*shown(numbers_of(d)).tolist(), digest)
        rows.append(LoggedDecision(scored.pair, d.second, d.second, 0, 430.0, numbers, d.veto))
        if len(rows) >= 3000:
            log.append(rows)
            rows.clear()
    log.append(rows)


def main(seconds: int) -> None:
    folder = Path(tempfile.mkdtemp())
    start = STOP - seconds
    hours = (seconds + WARMUP_S) / 3600
    write_hours(
        SimulatorOptions(seed=3, assets=ASSETS, store=folder / "raw.sqlite", hours=hours),
        SteppedClock(STOP * NS_PER_SECOND),
    )
    raw = EmbeddedBarStore(folder / "raw.sqlite", readonly=True)
    store = store_of(folder / "store.sqlite", raw, revised(raw.records(0, 2**40), start))
    instruments = store.instruments()
    pairs = {
        f"{name}/USDT": pair_markets(instruments, "binance", f"{name}/USDT", ("USDT",)) for name in ASSETS
    }
    log = DecisionLog(folder / "decisions.sqlite", LOGGED, "engine")
    live = Replay(store, pairs, SPEC, start)
    began = time.perf_counter()
    log_all(live, log)
    took = {"live": time.perf_counter() - began}
    began = time.perf_counter()
    known = compare(log, store, pairs, SPEC, start, STOP)
    took["as_known"] = time.perf_counter() - began
    began = time.perf_counter()
    final = compare_final(log, store, pairs, SPEC, start, STOP)
    took["as_final"] = time.perf_counter() - began
    injected = {
        (bar.market, bar.second, record.second)
        for record in store.records(0, 2**40)
        for bar in record.revisions
    }
    found = {(cause.market, cause.second, cause.known) for cause in final.causes}
    second = start + seconds // 2
    other = store_of(folder / "flipped.sqlite", raw, flipped(store.records(0, 2**40), second))
    tampered = compare(log, other, pairs, SPEC, second - 60, second + 60)
    print(
        json.dumps(
            {
                "seconds": known.seconds,
                "as_known_differing": known.differing_seconds,
                "injected": len(injected),
                "found_exactly": found == injected,
                "as_final_differing": len(final.differences),
                "unexplained": len(final.unexplained),
                "flipped_second": second,
                "flipped_found": sorted(
                    {each.second for each in tampered.differences if each.column == "inputs"}
                ),
                "flipped_first_difference": min(each.second for each in tampered.differences),
                "took_s": {name: round(value, 1) for name, value in took.items()},
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 86_400)
