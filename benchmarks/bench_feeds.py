"""How many trades frames become in a CPU second, alone and on into one-second bars; beside ccxt.pro's decode.

Prints one JSON object. The frames are made here from a seed, all different, as the exchanges deliver them:
Binance's hold one trade each, OKX's one, Bybit's four. ``decode`` is frame to checked trades, one frame at a
time; ``decode_and_bars`` goes on to closed one-second bars (order, de-duplication, packing for revisions),
the frames of one socket read at a time, as a busy connection gets them, and, ``frame_by_frame``, one at a
time, as a quiet one does. ccxt.pro's side is its own ``handle_message`` on the decoded JSON of the same
frames. Contenders take turns; CPU time, the median.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import ccxt.pro
import msgspec

from benchmarks.measuring import figure, interleaved, machine
from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, StreamPlan
from squeezeflow_plugin.feeds.batches import BatchReader
from squeezeflow_plugin.feeds.registry import adapter, classify

FRAMES = 20_000
PEER_FRAMES = 2_000
START_MS = 1_767_225_600_000
RECEIVED_NS = (START_MS + 3_600_000) * 1_000_000
SOCKET_READ = 64 * 1024
"""Bytes that a socket gives at a time while it has as many."""
FRAME_HEAD = 4
"""Bytes before each frame."""
Read = tuple[int, list[str]]
"""Frames, and the epoch second of the last one."""


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
    """An exchange's frames of one market, read by our session and in batches."""

    def __init__(self, market: str, frames: list[str]) -> None:
        self.frames = frames
        instrument = classify(market)
        if instrument is None:
            raise SystemExit(f"{market} is no market")
        self.adapter: ExchangeAdapter = adapter(instrument.exchange)
        self.plan: StreamPlan = self.adapter.plan([instrument])[0]
        parse = self.adapter.session(self.plan).parse
        seconds = [parse(frame, RECEIVED_NS).trades[-1].second for frame in frames]
        self.singles: list[Read] = [(second, [f]) for second, f in zip(seconds, frames, strict=True)]
        self.reads: list[Read] = []
        size = SOCKET_READ
        for second, frame in zip(seconds, frames, strict=True):
            size += FRAME_HEAD + len(frame)
            if size > SOCKET_READ:
                size = FRAME_HEAD + len(frame)
                self.reads.append((second, []))
            self.reads[-1] = second, [*self.reads[-1][1], frame]
        self.trades = sum(len(parse(frame, RECEIVED_NS).trades) for frame in frames)
        for bars in (self.bars, self.bars_frame_by_frame):
            if (counted := bars()) != self.trades:
                raise SystemExit(f"{market}: {counted} of {self.trades} trades are in the bars")

    def decode(self) -> None:
        parse = self.adapter.session(self.plan).parse
        for frame in self.frames:
            parse(frame, RECEIVED_NS)

    def bars(self) -> int:
        return self._bars(self.reads)

    def bars_frame_by_frame(self) -> int:
        return self._bars(self.singles)

    def _bars(self, reads: Sequence[Read]) -> int:
        """How many trades are in the bars that come of it."""
        parse, builder = self.adapter.session(self.plan).parse, BarBuilder()
        read = BatchReader(self.adapter.templates, self.plan.instruments).read
        closed, counted = self.singles[0][0] - 1, 0
        builder.begin(closed + 1)
        for second, frames in (*reads, (reads[-1][0] + 1, [])):
            for found in read(frames, [RECEIVED_NS] * len(frames)):
                if isinstance(found, int):
                    builder.add_all(parse(frames[found], RECEIVED_NS).trades)
                else:
                    builder.add_block(found)
            for each in range(closed + 1, second):
                counted += sum(bar.cbuy + bar.csell for bar in builder.close(each).bars)
            closed = max(closed, second - 1)
        return counted


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
    contenders: dict[str, Callable[[], object]] = {}
    for name, contender in ours.items():
        contenders |= {
            f"{name} decode": contender.decode,
            f"{name} bars": contender.bars,
            f"{name} bars frame by frame": contender.bars_frame_by_frame,
        }
    contenders |= {f"{name} ccxt": partial(peer.decode) for name, peer in peers.items()}
    took = interleaved(contenders)
    for peer in peers.values():
        await peer.exchange.close()
    targets = {"binance_spot": 1.2e6, "bybit": 1e6, "okx": 1e6}
    figures: dict[str, Any] = {}
    for name, contender in ours.items():
        bars = contender.trades / took[f"{name} bars"]
        figures[f"{name}_decode"] = figure(contender.trades / took[f"{name} decode"], "trades/CPU s")
        singly = contender.trades / took[f"{name} bars frame by frame"]
        figures[f"{name}_decode_and_bars"] = figure(bars, "trades/CPU s", targets.get(name))
        figures[f"{name}_decode_and_bars_frame_by_frame"] = figure(singly, "trades/CPU s")
        if name in peers:
            theirs = PEER_FRAMES / took[f"{name} ccxt"]
            figures[f"{name}_ccxt_pro_decode"] = figure(theirs, "trades/CPU s")
            goal = 20.0 if name == "binance_spot" else None
            figures[f"{name}_decode_and_bars_ratio_to_ccxt_pro"] = figure(bars / theirs, "x", goal)
    return {"frames": FRAMES, "machine": machine(), "figures": figures}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=1))
