"""How many Binance frames a CPU second turns into trades: decode, checks and trade objects, no socket.

Prints one JSON object. The frames are made here from a seed, all different, as ``/ws`` and as ``/stream``
deliver them; CPU time, the best of several passes.
"""

from __future__ import annotations

import json
import random
import time

from squeezeflow_plugin.feeds.adapter import ExchangeAdapter
from squeezeflow_plugin.feeds.registry import adapter

FRAMES = 20_000
PASSES = 15
START_MS = 1_767_225_600_000


def trade_frames(seed: int, symbol: str, execution: str = "") -> list[str]:
    """Seeded ``@trade`` frames of one symbol, a few milliseconds apart."""
    rng = random.Random(seed)
    frames, time_ms, price = [], START_MS, 88_000.0
    for trade_id in range(5_000_000_000, 5_000_000_000 + FRAMES):
        time_ms += rng.randrange(12)
        price += rng.gauss(0, 0.5)
        quantity = rng.lognormvariate(-5, 2)
        maker = "true" if rng.random() < 0.5 else "false"
        frames.append(
            f'{{"e":"trade","E":{time_ms + 1},"s":"{symbol}","t":{trade_id},"p":"{price:.8f}",'
            f'"q":"{quantity + 1e-5:.8f}","T":{time_ms},{execution}"m":{maker}}}'
        )
    return frames


def coin_frames(seed: int) -> list[str]:
    """Seeded COIN-M frames: whole contracts."""
    rng = random.Random(seed)
    return [
        f'{{"e":"trade","E":{START_MS + i},"T":{START_MS + i},"s":"BTCUSD_PERP","t":{i},'
        f'"p":"{88_000 + rng.random() * 50:.1f}","q":"{rng.randrange(1, 400)}","X":"MARKET","m":false}}'
        for i in range(FRAMES)
    ]


def rate(exchange: ExchangeAdapter, frames: list[str]) -> float:
    """Trades a CPU second, best of the passes."""
    parse = exchange.session().parse
    received_ns = (START_MS + FRAMES * 12) * 1_000_000
    best = float("inf")
    for _ in range(PASSES):
        started = time.process_time()
        for frame in frames:
            parse(frame, received_ns)
        best = min(best, time.process_time() - started)
    return len(frames) / best


def main() -> None:
    spot, futures = adapter("BINANCE"), adapter("BINANCE_FUTURES")
    bare = trade_frames(1, "BTCUSDT")
    usdm = trade_frames(2, "BTCUSDT", '"X":"MARKET",')
    figures = {
        "spot_trades_per_cpu_s": rate(spot, bare),
        "spot_enveloped_trades_per_cpu_s": rate(
            spot, [f'{{"stream":"btcusdt@trade","data":{frame}}}' for frame in bare]
        ),
        "usdm_trades_per_cpu_s": rate(futures, usdm),
        "coinm_trades_per_cpu_s": rate(futures, coin_frames(3)),
        "frames": FRAMES,
    }
    print(json.dumps({key: round(value) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
