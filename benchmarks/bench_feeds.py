"""How many trades frames become in a CPU second, alone and on into one-second bars; beside ccxt.pro's decode.

Prints one JSON object. The frames are made here from a seed, all different, as the exchanges deliver them:
Binance's hold one trade each, OKX's one, Bybit's four. ``decode`` is frame to checked trades, ``bars`` goes
on to closed one-second bars (order, de-duplication, packing for revisions). ccxt.pro's side is its own
``handle_message`` on the decoded JSON of the same frames. Contenders take turns; CPU time, the median.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import ccxt.pro
import msgspec

from benchmarks.measuring import figure, interleaved, machine
from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, StreamPlan
from squeezeflow_plugin.feeds.registry import adapter, classify

FRAMES = 20_000
PEER_FRAMES = 2_000
START_MS = 1_767_225_600_000
RECEIVED_NS = (START_MS + 3_600_000) * 1_000_000
Second = tuple[int, list[str]]
"""An epoch second and the frames of it."""


def trade_frames(seed: int, symbol: str, execution: str = "") -> list[str]:
    """Seeded Binance ``@trade`` frames of one symbol, a few milliseconds apart."""
    frames = []
    for number, (time_ms, price, size, sells) in enumerate(_tape(seed, FRAMES)):
        maker = "true" if sells else "false"
        frames.append(
            f'{{"e":"trade","E":{time_ms + 1},"s":"{symbol}","t":{5_000_000_000 + number},"p":"{price:.8f}",'
            f'"q":"{size:.8f}","T":{time_ms},{execution}"m":{maker}}}'
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


def bybit_frames(seed: int, trades: int = 4) -> list[str]:
    """Seeded ``publicTrade`` frames of that many trades each."""
    rng, frames = random.Random(seed), []
    tape = list(_tape(seed, FRAMES))
    for start in range(0, FRAMES, trades):
        time_ms = tape[start][0]
        data = ",".join(
            f'{{"T":{time_ms},"s":"BTCUSDT","S":"{"Sell" if sells else "Buy"}","v":"{size:.3f}",'
            f'"p":"{price:.2f}","L":"PlusTick","i":"{rng.getrandbits(128):032x}","BT":false,"RPI":false}}'
            for _, price, size, sells in tape[start : start + trades]
        )
        frames.append(
            f'{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":{time_ms + 3},"data":[{data}]}}'
        )
    return frames


def okx_frames(seed: int) -> list[str]:
    """Seeded ``trades`` frames."""
    return [
        f'{{"arg":{{"channel":"trades","instId":"BTC-USDT-SWAP"}},"data":[{{"instId":"BTC-USDT-SWAP",'
        f'"tradeId":"{900_000_000 + number}","px":"{price:.1f}","sz":"{size * 100 + 1:.2f}",'
        f'"side":"{"sell" if sells else "buy"}","ts":"{time_ms}","count":"1"}}]}}'
        for number, (time_ms, price, size, sells) in enumerate(_tape(seed, FRAMES))
    ]


def _tape(seed: int, count: int) -> Sequence[tuple[int, float, float, bool]]:
    rng = random.Random(seed)
    tape, time_ms, price = [], START_MS, 88_000.0
    for _ in range(count):
        time_ms += rng.randrange(12)
        price += rng.gauss(0, 0.5)
        tape.append((time_ms, price, rng.lognormvariate(-5, 2) + 0.001, rng.random() < 0.5))
    return tape


class Contender:
    """An exchange's frames of one market, read by our session."""

    def __init__(self, market: str, frames: list[str]) -> None:
        self.frames = frames
        instrument = classify(market)
        if instrument is None:
            raise SystemExit(f"{market} is no market")
        self.adapter: ExchangeAdapter = adapter(instrument.exchange)
        self.plan: StreamPlan = self.adapter.plan([instrument])[0]
        parse = self.adapter.session(self.plan).parse
        times = [(parse(f, RECEIVED_NS).trades[0].exchange_ns // 10**9, f) for f in frames]
        self.seconds: list[Second] = [
            (second, [frame for _, frame in some])
            for second, some in groupby(times, key=lambda each: each[0])
        ]
        self.trades = sum(len(parse(frame, RECEIVED_NS).trades) for frame in frames)

    def decode(self) -> None:
        parse = self.adapter.session(self.plan).parse
        for frame in self.frames:
            parse(frame, RECEIVED_NS)

    def bars(self) -> None:
        parse, builder = self.adapter.session(self.plan).parse, BarBuilder()
        builder.begin(self.seconds[0][0])
        add, closed = builder.add_all, self.seconds[0][0] - 1
        for second, frames in self.seconds:
            for frame in frames:
                add(parse(frame, RECEIVED_NS).trades)
            for each in range(closed + 1, second + 1):
                builder.close(each)
            closed = second


class Peer:
    """ccxt.pro's reading of the same frames, without its socket."""

    def __init__(self, exchange: Any, url: str, market: Mapping[str, Any], frames: list[str]) -> None:
        shared = {"margin": False, "future": False, "option": False, "limits": {}, "info": {}}
        precision = {"price": 0.01, "amount": 0.00001}
        exchange.set_markets([{**shared, "precision": precision, **market}])
        self.exchange = exchange
        self._client = exchange.client(url)
        self._frames = frames

    def decode(self) -> None:
        for frame in self._frames:
            self.exchange.handle_message(self._client, msgspec.json.decode(frame))


SPOT = {"base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT", "spot": True, "type": "spot"}
SPOT |= {"contract": False, "swap": False, "inverse": False, "linear": None, "contractSize": None}
SWAP = SPOT | {
    "spot": False,
    "type": "swap",
    "contract": True,
    "swap": True,
    "linear": True,
    "settle": "USDT",
}
SWAP |= {"contractSize": 0.01, "settleId": "USDT"}


async def measure() -> dict[str, Any]:
    spot, bybit, okx = trade_frames(1, "BTCUSDT"), bybit_frames(4), okx_frames(5)
    ours = {
        "binance_spot": Contender("BINANCE:btcusdt", spot),
        "binance_usdm": Contender("BINANCE_FUTURES:btcusdt", trade_frames(2, "BTCUSDT", '"X":"MARKET",')),
        "binance_coinm": Contender("BINANCE_FUTURES:btcusd_perp", coin_frames(3)),
        "bybit": Contender("BYBIT:BTCUSDT", bybit),
        "okx": Contender("OKEX:BTC-USDT-SWAP", okx),
    }
    peers = {
        "binance_spot": Peer(
            ccxt.pro.binance(),
            "wss://stream.binance.com:9443/ws/0",
            {"id": "BTCUSDT", "symbol": "BTC/USDT", **SPOT},
            spot[:PEER_FRAMES],
        ),
        "bybit": Peer(
            ccxt.pro.bybit(),
            "wss://stream.bybit.com/v5/public/linear",
            {"id": "BTCUSDT", "symbol": "BTC/USDT:USDT", **SWAP},
            bybit[: PEER_FRAMES // 4],
        ),
        "okx": Peer(
            ccxt.pro.okx(),
            "wss://ws.okx.com:8443/ws/v5/public",
            {"id": "BTC-USDT-SWAP", "symbol": "BTC/USDT:USDT", **SWAP},
            okx[:PEER_FRAMES],
        ),
    }
    contenders: dict[str, Callable[[], None]] = {}
    for name, contender in ours.items():
        contenders |= {f"{name} decode": contender.decode, f"{name} bars": contender.bars}
    contenders |= {f"{name} ccxt": partial(peer.decode) for name, peer in peers.items()}
    took = interleaved(contenders)
    for peer in peers.values():
        await peer.exchange.close()
    targets = {"binance_spot": 1.2e6, "bybit": 1e6, "okx": 1e6}
    figures: dict[str, Any] = {}
    for name, contender in ours.items():
        bars = contender.trades / took[f"{name} bars"]
        figures[f"{name}_decode"] = figure(contender.trades / took[f"{name} decode"], "trades/CPU s")
        figures[f"{name}_decode_and_bars"] = figure(bars, "trades/CPU s", targets.get(name))
        if name in peers:
            theirs = PEER_FRAMES / took[f"{name} ccxt"]
            figures[f"{name}_ccxt_pro_decode"] = figure(theirs, "trades/CPU s")
            goal = 20.0 if name == "binance_spot" else None
            figures[f"{name}_decode_and_bars_ratio_to_ccxt_pro"] = figure(bars / theirs, "x", goal)
    return {"frames": FRAMES, "machine": machine(), "figures": figures}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=1))
