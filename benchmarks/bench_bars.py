"""What a trade costs on its way into bars, live and in bulk, beside the plainest loop and pandas' group-by.

Prints one JSON object: CPU seconds, the best of several passes; ``ratio`` figures are from the same run.
The plain loop keeps open, high, low, close and sums of each market's last second and nothing else: no order,
no de-duplication, no revisions.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.bars.columns import bars_of_trades
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from squeezeflow_plugin.tables import trades_of_frame

START = 1_767_225_600
LIVE_SECONDS = 20
BULK = 2_000_000
PASSES = 4


def best(work: Callable[[], object]) -> float:
    """CPU seconds of the quickest pass."""
    took = []
    for _ in range(PASSES):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def live_tape(markets: int, rate: int) -> list[list[Trade]]:
    """Seconds of trades in order of time, markets taking turns."""
    rng, trade_id = random.Random(1), 5_000_000_000
    tape = []
    for second in range(START, START + LIVE_SECONDS):
        trades = []
        for place in range(rate):
            trade_id += 1
            when = second * NS_PER_SECOND + place * (NS_PER_SECOND // rate)
            price, side = 60_000.0 + rng.random(), rng.choice((1, -1))
            market = f"EXCHANGE:market{place % markets:03}usdt"
            trades.append(Trade(market, when, str(trade_id), price, 0.01, price * 0.01, side))
        tape.append(trades)
    return tape


def build(tape: list[list[Trade]]) -> None:
    builder = BarBuilder()
    builder.begin(START)
    for second, trades in enumerate(tape, start=START):
        builder.add_all(trades)
        builder.close(second)


def plain_loop(tape: list[list[Trade]]) -> None:
    bars: dict[str, list[float]] = {}
    for trades in tape:
        for trade in trades:
            second, price = trade.exchange_ns // NS_PER_SECOND, trade.price
            bar = bars.get(trade.market)
            if bar is None or bar[0] != second:
                bar = bars[trade.market] = [second, price, price, price, price, 0.0, 0.0, 0, 0]
            bar[2] = max(bar[2], price)
            bar[3] = min(bar[3], price)
            bar[4] = price
            side = 5 if trade.side > 0 else 6
            bar[side] += trade.quote
            bar[side + 2] += trade.count


def bulk_frame(markets: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    names = np.array([f"EXCHANGE:market{number:03}usdt" for number in range(markets)])
    return pd.DataFrame(
        {
            "ts_ms": np.sort(rng.integers(0, BULK // 60 * 1000, BULK)) + START * 1000,
            "price": 60_000.0 + rng.normal(size=BULK).cumsum() * 0.01,
            "size": rng.exponential(0.01, BULK) + 1e-6,
            "side": np.where(rng.random(BULK) < 0.5, "buy", "sell"),
            "market": names[rng.integers(0, markets, BULK)],
            "trade_id": np.arange(BULK),
        }
    )


def group_by(frame: pd.DataFrame) -> pd.DataFrame:
    buys, quote = frame["side"] == "buy", frame["price"] * frame["size"]
    told = pd.DataFrame(
        {
            "market": frame["market"],
            "second": frame["ts_ms"] // 1000,
            "price": frame["price"],
            "vbuy": quote.where(buys, 0.0),
            "vsell": quote.where(~buys, 0.0),
            "cbuy": buys.astype(np.int64),
            "csell": (~buys).astype(np.int64),
        }
    )
    sums = dict.fromkeys(("vbuy", "vsell", "cbuy", "csell"), "sum")
    return told.groupby(["market", "second"], sort=False).agg(
        {"price": ["first", "max", "min", "last"], **sums}
    )


def main() -> None:
    figures: dict[str, float] = {}
    for markets, rate in ((3, 1_000), (100, 20_000)):
        tape = live_tape(markets, rate)
        trades = rate * LIVE_SECONDS
        mine, plain = best(partial(build, tape)), best(partial(plain_loop, tape))
        name = f"live_{markets}_markets_{rate}_a_second"
        figures[f"{name}_ns_a_trade"] = round(mine / trades * 1e9)
        figures[f"{name}_ratio_to_plain_loop"] = round(mine / plain, 2)
    frame = bulk_frame(20)
    columns = trades_of_frame(frame)
    bulk = best(partial(bars_of_trades, columns))
    figures["bulk_million_trades_a_second"] = round(BULK / bulk / 1e6, 2)
    figures["bulk_checks_million_trades_a_second"] = round(
        BULK / best(partial(trades_of_frame, frame)) / 1e6, 2
    )
    figures["bulk_ratio_to_pandas_group_by"] = round(best(partial(group_by, frame)) / bulk, 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
