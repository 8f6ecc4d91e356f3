"""A day of one asset on twenty markets to decisions: from the store, and from the memory-mapped rows.

One JSON object. `cold` reads the store's Parquet partitions and writes the rows that later runs map into
memory; `cached` finds them up to date, maps them and decides every second. Epochs of a search and repeated
backtests pay the latter.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import numpy as np

from benchmarks.measuring import figure, interleaved, machine
from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord
from squeezeflow_plugin.phases.decision import SCORE_COLUMNS
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.provider.materialise import Wanted, materialise, store_stamp
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.rolling import StoreKeeper

DAY, START = 86_400, 1_700_006_400
SPOT = tuple(f"SPOT{place}:btcusdt" for place in range(10))
PERP = tuple(f"PERP{place}:btcusdt" for place in range(10))
MARKETS = AssetMarkets("BTC", SPOT, PERP, SPOT[0])
TRADED = 0.7  # share of the seconds in which a market trades
FAR_NS = 2**62  # a clock far enough ahead that no file has just changed


def _bar(market: str, second: int, price: float, volume: list[float]) -> Bar:
    return Bar(market, second, price, price, price, price, volume[0], volume[1], 3, 2, 0.0, 0.0)


def fill(path: Path) -> None:
    """A day of seeded bars in Parquet partitions."""
    rng = np.random.default_rng(1)
    close = 60_000.0 * np.exp(np.cumsum(rng.normal(0.0, 4e-5, DAY)))
    store = EmbeddedBarStore(path)
    for begin in range(0, DAY, 3_600):
        volumes = rng.lognormal(9.0, 0.8, (3_600, len(MARKETS.all), 2)).tolist()
        traded = (rng.random((3_600, len(MARKETS.all))) < TRADED).tolist()
        records = []
        for place in range(3_600):
            second, price = START + begin + place, float(close[begin + place])
            bars = tuple(
                _bar(market, second, price, volumes[place][at])
                for at, market in enumerate(MARKETS.all)
                if traded[place][at]
            )
            closed_ns = (second + 1) * NS_PER_SECOND + 400_000_000
            records.append(ClosingRecord("main", second, closed_ns, bars, (), MARKETS.all, ()))
        store.append(records)
    store.close()
    keeper = StoreKeeper(path)
    keeper.roll_over(START + DAY)
    keeper.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        fill(path)
        store = EmbeddedBarStore(path, readonly=True)
        wanted = Wanted({"BTC/USDT": MARKETS}, START, START + DAY)
        clock = SteppedClock(FAR_NS)
        stamp = store_stamp(path, clock)

        def decide(root: Path) -> None:
            data = materialise(store, wanted, root, store_stamp(path, clock), clock)
            Engine().columns(data.flow("BTC/USDT", START, START + DAY), SCORE_COLUMNS)

        fresh = iter(range(100))
        took = interleaved(
            {
                "cold": lambda: decide(Path(folder) / f"cold{next(fresh)}"),
                "cached": lambda: decide(Path(folder) / "warm"),
            }
        )
        store.close()
        report = {
            **machine(),
            "stamped": bool(stamp),
            "day_of_20_markets_from_the_cache": figure(took["cached"] * 1e3, "ms CPU", 60.0, at_most=True),
            "day_of_20_markets_cold_parquet": figure(took["cold"] * 1e3, "ms CPU"),
            "cold_to_cached": figure(took["cold"] / took["cached"], "times"),
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
