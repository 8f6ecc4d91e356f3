"""Frames read at once come to what they come to one by one: records, gaps, journal, counts, to the last bit.

A small world in its own time: the connections of several exchanges bring trades - late, dated ahead,
repeated, by ids that jump or go back, in odd spellings - and liquidations, answers and broken frames between
them; now and then a connection is cut, gives way to a successor that brings the same again, or the collector
is killed.
Links, intake, journal and closer are the real ones, once with compiled reading and once without it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.feeds.adapter import StreamPlan
from squeezeflow_plugin.feeds.batches import BatchReaders
from squeezeflow_plugin.feeds.link import AnnouncedEndError, ConnectionStats, Link
from squeezeflow_plugin.feeds.pace import Pace
from squeezeflow_plugin.feeds.recovery import Continuity
from squeezeflow_plugin.feeds.registry import adapter, classify
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, Instrument

START = 1_767_225_600
SECONDS = 12
HORIZON_S = 5
DELAY_NS = 40_000_000
NS_PER_MS = 1_000_000
MARKETS = {
    "BINANCE:btcusdt": Continuity(sequence=True),
    "BINANCE:ethusdt": Continuity(sequence=True),
    "BINANCE_FUTURES:btcusdt": Continuity(sequence=True),
    "BINANCE_FUTURES:btcusd_perp": Continuity(sequence=True),
    "BYBIT:BTCUSDT": Continuity(sequence=False, replayed=True),
    "BYBIT:BTCUSD": Continuity(sequence=False),
    "BYBIT:BTCUSDT-SPOT": Continuity(sequence=False),
    "OKEX:BTC-USDT": Continuity(sequence=True),
    "OKEX:BTC-USD-SWAP": Continuity(sequence=True),
}
ODD_SIZES = ("7", "0.500", "1e1", "0", "0.1234567890123456789")
FIRST_ID = 9_990
"""Ids get one digit more on the way."""


@dataclass(frozen=True)
class Came:
    """What a connection, by its number, brought at once: frames and when each of them came."""

    connection: int
    frames: tuple[str | bytes, ...]
    received: tuple[int, ...]


def plans() -> list[StreamPlan]:
    """Those of all the markets, each exchange's own."""
    by_exchange: dict[str, list[Instrument]] = {}
    for market in MARKETS:
        instrument = classify(market)
        assert instrument is not None
        by_exchange.setdefault(instrument.exchange, []).append(instrument)
    return [plan for name, some in by_exchange.items() for plan in adapter(name).plan(some) if plan.markets]


class Exchange:
    """What one connection brings, from its seed."""

    def __init__(self, plan: StreamPlan, rng: random.Random) -> None:
        self._plan = plan
        self._rng = rng
        self._newest = dict.fromkeys(plan.markets, FIRST_ID)
        self._spell = SPELLINGS[plan.exchange]
        self._kept: list[str] = []

    def frame(self, now_ns: int) -> str | bytes:
        """The next one."""
        rng = self._rng
        roll = rng.random()
        if roll < 0.02 and self._kept:
            return rng.choice(self._kept[-40:])  # a second time, or from long ago
        if roll < 0.03:
            return rng.choice(OTHERS[self._plan.exchange])
        instrument = rng.choice(self._plan.instruments)
        frame = self._spell(
            instrument.symbol, [self._trade(instrument, now_ns) for _ in range(self._items())]
        )
        self._kept.append(frame)
        if roll < 0.05:
            frame = rng.choice((frame[:-3], frame.replace(":", ": ", 1), frame.replace('"p":"', '"p":"0')))
        return frame.encode() if roll > 0.98 else frame

    def _items(self) -> int:
        return 1 if self._plan.exchange.startswith("BINANCE") else self._rng.choice((1, 1, 2, 5))

    def _trade(self, instrument: Instrument, now_ns: int) -> dict[str, Any]:
        rng, market = self._rng, instrument.market
        count = rng.choice((1, 1, 1, 4)) if self._plan.exchange == "OKEX" else 1
        jump = rng.choice((1, 2, 60, -3, -700, 10**6, 2 * 10**18)) if rng.random() < 0.02 else 0
        number = max(self._newest[market] + jump + count, 1)
        if abs(jump) < 100:
            self._newest[market] = number
        away_ms = 0
        if rng.random() < 0.05:
            away_ms = rng.choice((-300, -1_000, -2_500, -4_999, -9_000, -90_000, 900, 2_300, 4_000, 40_000))
            away_ms = rng.choice((away_ms, away_ms, away_ms, 4_000_000))
        time_ms = (now_ns - DELAY_NS) // NS_PER_MS + away_ms - rng.choice((0, 0, 0, 1, 7, 30))
        if rng.random() < 0.05:
            time_ms -= time_ms % 1000 + rng.choice((0, 1))  # at a second's very end or beginning
        return {
            "id": number,
            "time": time_ms,
            "price": f"{rng.uniform(0.5, 9e4):.{rng.choice((0, 1, 2, 8, 14))}f}",
            "size": rng.choice(ODD_SIZES)
            if rng.random() < 0.02
            else f"{rng.lognormvariate(0, 2) + 1e-3:.5f}",
            "is_sell": rng.random() < 0.5,
            "count": count,
        }


def binance(symbol: str, trades: Sequence[dict[str, Any]]) -> str:
    (each,) = trades
    execution = "NA" if each["id"] % 97 == 0 else "MARKET"
    kind = "" if symbol == "ETHUSDT" else f'"X":"{execution}",'
    return (
        f'{{"e":"trade","E":{each["time"] + 3},"s":"{symbol}","t":{each["id"]},"p":"{each["price"]}",'
        f'"q":"{each["size"]}","T":{each["time"]},{kind}"m":{str(each["is_sell"]).lower()}}}'
    )


def bybit(symbol: str, trades: Sequence[dict[str, Any]]) -> str:
    items = [
        f'{{"T":{each["time"]},"s":"{symbol}","S":"{"Sell" if each["is_sell"] else "Buy"}",'
        f'"v":"{each["size"]}","p":"{each["price"]}","L":"PlusTick",'
        f'"i":"{each["id"]:08x}-d8dd-5b31-9112-a178eb6023af","BT":{str(each["id"] % 89 == 0).lower()}}}'
        for each in trades
    ]
    return (
        f'{{"topic":"publicTrade.{symbol}","type":"snapshot","ts":{trades[0]["time"]},'
        f'"data":[{",".join(items)}]}}'
    )


def okx(symbol: str, trades: Sequence[dict[str, Any]]) -> str:
    items = [
        f'{{"instId":"{symbol}","tradeId":"{each["id"]}","px":"{each["price"]}","sz":"{each["size"]}",'
        f'"side":"{"sell" if each["is_sell"] else "buy"}","ts":"{each["time"]}","count":"{each["count"]}"}}'
        for each in trades
    ]
    return f'{{"arg":{{"channel":"trades","instId":"{symbol}"}},"data":[{",".join(items)}]}}'


SPELLINGS: dict[str, Callable[[str, Sequence[dict[str, Any]]], str]] = {
    "BINANCE": binance,
    "BINANCE_FUTURES": binance,
    "BYBIT": bybit,
    "OKEX": okx,
}
_FORCED = (
    '{"e":"forceOrder","E":1767225603900,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014",'
    '"p":"9910","ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1767225603893}}'
)
_BYBIT_FORCED = (
    '{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1767225604000,"data":[{"T":1767225603999,'
    '"s":"BTCUSDT","S":"Sell","v":"20000","p":"0.04499"}]}'
)
OTHERS: dict[str, tuple[str | bytes, ...]] = {
    "BINANCE": ('{"result":null,"id":1}', "{}", "", b"\xff", '{"e":"kline","s":"BTCUSDT"}'),
    "BINANCE_FUTURES": ('{"result":null,"id":1}', _FORCED, "[]", '{"error":{"code":2,"msg":"no"},"id":2}'),
    "BYBIT": (_BYBIT_FORCED, '{"op":"pong"}', '{"success":true,"op":"subscribe","req_id":"1"}', "{"),
    "OKEX": ("pong", '{"event":"error","msg":"no","code":"1"}', '{"arg":{"channel":"trades"},"data":[]}'),
}


class Collector:
    """What a collector does with what comes, from the socket's frames to its records."""

    def __init__(self, directory: Path, readers: BatchReaders | None, records: list[ClosingRecord]) -> None:
        self.journal = TradeJournal(directory, segment_s=3)
        self.tally = Tally()
        self.closer = Closer(
            "main",
            MARKETS,
            started_ns=(START + len(records)) * NS_PER_SECOND,
            horizon_s=HORIZON_S,
            continuity=MARKETS,
        )
        self.intake = Intake(self.closer, self.journal, self.tally)
        self.records = records
        self.told: list[object] = []
        self._readers = readers
        self._clock = SteppedClock(START * NS_PER_SECOND)
        self._plans = plans()
        self._paces = [Pace(60.0) for _ in self._plans]
        self._links = [self.link(number) for number in range(len(self._plans))]
        if records:
            first = records[-1].second - HORIZON_S + 1
            self.closer.resume(records, *self.journal.split(first, records[-1].second))

    def link(self, number: int) -> Link:
        plan = self._plans[number]
        return Link(
            cast(Any, None),  # nothing is sent
            plan,
            adapter(plan.exchange),
            self._clock,
            self.intake,
            ConnectionStats(),
            self._paces[number],
            10.0,
            self._readers,
        )

    def take(self, came: Came) -> None:
        """Deliver what came at once."""
        link = self._links[came.connection]
        self._clock.advance(max(came.received[-1] - self._clock.now_ns(), 0))
        link._frames, link._received = list(came.frames), list(came.received)
        try:
            self.told += link._carry_out()
        except AnnouncedEndError as error:
            self.told.append(str(error))

    def succeed(self, connection: int) -> None:
        """A successor brings what its predecessor brought."""
        self._links[connection] = self.link(connection)

    def cut(self, connection: int, now_ns: int) -> None:
        """Its markets are down, and live again."""
        markets = self._plans[connection].markets
        self.intake.down(markets, now_ns - NS_PER_SECOND, "gone")
        self.intake.live(markets, now_ns)

    def close(self, now_ns: int) -> None:
        while self.closer.due_local_ns() <= now_ns:
            self.records.append(self.closer.close(now_ns))
            self.intake.closed(self.records[-1].second, now_ns)
            self.told += [self.intake.due(exchange, now_ns) for exchange in SPELLINGS]
            # of those that were refused at once, which one is the last depends on how they came
            self.told += sorted(
                (each.market, each.outcome.value, each.count, round(each.quote, 4))
                for each in self.closer.take_refused()
            )
            self.intake.name_lost()

    def outcome(self) -> dict[str, object]:
        stats = [link.stats for link in self._links]
        return {
            "records": list(map(repr, self.records)),
            "told": self.told,
            "counts": self.closer.builder.counts,
            "offsets": self.closer.offsets.skews_ns(),
            "tally": (self.tally.received, self.tally.liquidations, self.tally.rejected),
            "stats": [(each.trades, each.left_out, each.rejected, each.other) for each in stats],
            "signs": [(each.good_ns, each._alive_ns, each._pace.usual_s) for each in self._links],
            "gaps": [repr(self.closer.watch.of(market).doubted(START + 99, 1 << 62)) for market in MARKETS],
            "journal": list(map(repr, self.journal.replay(0))),
        }


def events(seed: int) -> Iterator[tuple[str, int, Came]]:
    """What happens, when, and by which connection."""
    rng = random.Random(seed)
    exchanges = [Exchange(plan, random.Random(rng.random())) for plan in plans()]
    now_ns = START * NS_PER_SECOND
    while now_ns < (START + SECONDS) * NS_PER_SECOND:
        now_ns += rng.randrange(250 * NS_PER_MS)
        connection = rng.randrange(len(exchanges))
        frames, received = [], []
        for _ in range(rng.choice((1, 3, 20, 60))):
            now_ns += rng.randrange(NS_PER_MS)
            frames.append(exchanges[connection].frame(now_ns))
            received.append(now_ns)
        came = Came(connection, tuple(frames), tuple(received))
        yield "came", now_ns, came
        roll = rng.random()
        if roll < 0.12:
            yield ("cut" if roll < 0.06 else "succeed" if roll < 0.1 else "kill"), now_ns, came


def outcome_of(seed: int, readers: BatchReaders | None, *, kills: bool) -> dict[str, object]:
    with TemporaryDirectory() as directory:
        collector = Collector(Path(directory), readers, [])
        for plan in plans():
            collector.intake.live(plan.markets, START * NS_PER_SECOND)
        earlier: list[object] = []
        now_ns = 0
        for what, now_ns, came in events(seed):
            match what:
                case "came":
                    collector.take(came)
                case "cut":
                    collector.cut(came.connection, now_ns)
                case "succeed":
                    collector.succeed(came.connection)
                    collector.take(came)
                case "kill" if kills and collector.records:
                    collector.journal.close()
                    earlier.append(collector.outcome())
                    collector = Collector(Path(directory), readers, collector.records)
                    for plan in plans():
                        collector.intake.live(plan.markets, now_ns)
            collector.close(now_ns)
        collector.close(now_ns + (HORIZON_S + 3) * NS_PER_SECOND)
        outcome = collector.outcome()
        collector.journal.close()
        return outcome | {"earlier": earlier}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 12]), st.booleans())
def test_frames_at_once_and_one_by_one_come_to_the_same(seed: int, least: int, kills: bool) -> None:
    readers = BatchReaders(least)
    readers.load()
    one_by_one = outcome_of(seed, None, kills=kills)
    at_once = outcome_of(seed, readers, kills=kills)
    for name, said in one_by_one.items():
        assert at_once[name] == said, name
    assert one_by_one["records"]
