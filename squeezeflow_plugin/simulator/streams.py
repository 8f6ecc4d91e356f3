"""The websocket side: who listens to which stream, and the pump that sends trades when they are due.

Paths and control frames as Binance has them: ``/ws`` (bare events) and ``/stream`` (wrapped as
``{"stream":..., "data":...}``), streams named in the path, the query or by SUBSCRIBE. USD-M is split since
spring 2026: ``/public`` and the old unified path carry ``@trade`` only, ``/market`` everything else; a
stream asked for on the wrong path is acknowledged and stays silent, as there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.market import MarketKind
from squeezeflow_plugin.simulator.candles import INTERVAL_MS
from squeezeflow_plugin.simulator.clients import CLOSE_WITHIN_S, Client
from squeezeflow_plugin.simulator.floor import Floor
from squeezeflow_plugin.simulator.profiles import MarketProfile
from squeezeflow_plugin.simulator.tape import Due, Tape
from squeezeflow_plugin.simulator.venue import Venue
from squeezeflow_plugin.simulator.wire import Spelling

PING_INTERVAL_S = 20.0
_AHEAD_S = 5
_LONGEST_PAUSE_MS = 50
_NS_PER_MS = 1_000_000

Stream = tuple[MarketKind, str]
"""A stream's name and which side it is of: ``(MarketKind.SPOT, "btcusdt@trade")``."""


class Control(msgspec.Struct, frozen=True):
    """A control frame of a client."""

    method: str
    id: int | str | None = None
    params: list[str] = []


@dataclass(eq=False, kw_only=True)
class Listener(Client):
    """One connection: ``carries`` says which streams its path serves."""

    kind: MarketKind
    wrapped: bool
    carries: Callable[[str], bool]
    streams: set[str] = field(default_factory=set)


class Hub:
    """All connections, by what they listen to."""

    def __init__(self) -> None:
        self.clients: set[Listener] = set()
        self._listeners: dict[Stream, set[Listener]] = {}

    def listens(self, kind: MarketKind, stream: str) -> bool:
        return bool(self._listeners.get((kind, stream)))

    def streams(self) -> list[str]:
        """The streams somebody listens to, as ``kind:stream``, sorted."""
        return sorted(f"{kind.value}:{stream}" for (kind, stream), who in self._listeners.items() if who)

    def subscribe(self, client: Listener, streams: Iterable[str]) -> None:
        for stream in streams:
            client.streams.add(stream)
            if client.carries(stream):
                self._listeners.setdefault((client.kind, stream), set()).add(client)

    def unsubscribe(self, client: Listener, streams: Iterable[str]) -> None:
        for stream in list(streams):
            client.streams.discard(stream)
            self._listeners.get((client.kind, stream), set()).discard(client)

    def publish(self, kind: MarketKind, stream: str, frames: Sequence[str]) -> None:
        """Queue event texts for everyone who listens."""
        for client in tuple(self._listeners.get((kind, stream), ())):
            out = [f'{{"stream":"{stream}","data":{f}}}' for f in frames] if client.wrapped else frames
            if not client.put(out):
                self.drop(client)

    def drop(self, client: Listener) -> None:
        """Forget a client that does not read; its connection is cut."""
        self.unsubscribe(client, client.streams)
        self.clients.discard(client)
        if client.transport is not None:
            client.transport.close()

    async def serve(
        self, request: web.Request, kind: MarketKind, path: str, wrapped: bool
    ) -> web.WebSocketResponse:
        """One client's connection, from its handshake to its end. ``path`` is "", "public" or "market"."""
        socket = web.WebSocketResponse(timeout=CLOSE_WITHIN_S, heartbeat=PING_INTERVAL_S, compress=False)
        await socket.prepare(request)
        client = Listener(
            socket=socket,
            transport=request.transport,
            kind=kind,
            wrapped=wrapped,
            carries=_carried(kind, path),
        )
        self.clients.add(client)
        named = request.query.get("streams", "") or request.match_info.get("streams", "")
        self.subscribe(client, (stream for stream in named.split("/") if "@" in stream))
        writer = asyncio.create_task(client.write())
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    client.put([self._answer(client, message.data)])
        finally:
            # first of all, because a lost connection cancels this handler, and so any wait in here
            self.unsubscribe(client, client.streams)
            self.clients.discard(client)
            writer.cancel()
        return socket

    async def close(self) -> None:
        """End every connection, as a server that goes away does."""
        await asyncio.gather(
            *(client.socket.close(code=WSCloseCode.GOING_AWAY) for client in tuple(self.clients))
        )

    def _answer(self, client: Listener, text: str) -> str:
        try:
            control = msgspec.json.decode(text, type=Control)
        except msgspec.MsgspecError as error:
            return _json({"error": {"code": 3, "msg": f"Invalid JSON: {error}"}})
        if control.method == "SUBSCRIBE":
            self.subscribe(client, control.params)
        elif control.method == "UNSUBSCRIBE":
            self.unsubscribe(client, control.params)
        elif control.method == "LIST_SUBSCRIPTIONS":
            return _json({"result": sorted(client.streams), "id": control.id})
        else:
            return _json({"error": {"code": 2, "msg": f"Invalid request: unknown method {control.method}"}})
        return _json({"result": None, "id": control.id})


class Pump:
    """Sends each trade when it is due, and keeps the venue a few seconds ahead of the clock."""

    def __init__(
        self,
        venue: Venue,
        hub: Hub,
        clock: Clock,
        truth: Callable[[Tape, Due], None] | None,
        floors: Sequence[Floor] = (),
    ) -> None:
        self._venue = venue
        self._hub = hub
        self._clock = clock
        self._truth = truth
        self._floors = tuple(floors)
        self._floor_of = {m: floor for floor in floors for m in venue.tapes if floor.carries(m)}
        own = {m: t.profile for m, t in venue.tapes.items() if isinstance(t.profile, MarketProfile)}
        self._spelling = {market: Spelling(profile) for market, profile in own.items()}
        self.sent = dict.fromkeys(venue.tapes, 0)
        self.sent_until_ms = clock.now_ns() // _NS_PER_MS

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            now_ms = self.step()
            due = [tape.next_due_ms(now_ms) for tape in self._venue.tapes.values()]
            wake = min([now_ms + _LONGEST_PAUSE_MS, *(each for each in due if each is not None)])
            await self._clock.wait_until(max(wake, now_ms + 1) * _NS_PER_MS)

    def step(self) -> int:
        """Send everything that is due by now; returns now in milliseconds."""
        now_ms = self._clock.now_ns() // _NS_PER_MS
        self._venue.extend(now_ms // 1000 + _AHEAD_S)
        before, self.sent_until_ms = self.sent_until_ms, now_ms
        for market, tape in self._venue.tapes.items():
            for due in tape.due(before, now_ms):
                self.sent[market] += len(due.rows)
                if self._truth is not None:
                    self._truth(tape, due)
                if market in self._floor_of:
                    self._floor_of[market].publish(market, due, now_ms)
                else:
                    self._send(tape, self._spelling[market], due)
            if market in self._spelling and before // 1000 != now_ms // 1000:
                self._send_candles(tape, self._spelling[market], now_ms)
        for floor in self._floors:
            floor.beat(now_ms)
        return now_ms

    def _send(self, tape: Tape, spelling: Spelling, due: Due) -> None:
        kind, symbol = tape.profile.instrument.kind, spelling.symbol.lower()
        if len(due.rows) and self._hub.listens(kind, stream := f"{symbol}@trade"):
            trades = due.minute.trades.select(due.rows)
            self._hub.publish(kind, stream, spelling.trade_frames(trades, due.sent_ms.tolist()))
        if len(due.rows) and self._hub.listens(kind, stream := f"{symbol}@aggTrade"):
            self._hub.publish(kind, stream, _aggregate_frames(spelling, due))
        if len(due.forced) and self._hub.listens(kind, stream := f"{symbol}@forceOrder"):
            events = spelling.liquidation_events(due.forced, self.sent_until_ms)
            self._hub.publish(kind, stream, [_json(event) for event in events])

    def _send_candles(self, tape: Tape, spelling: Spelling, now_ms: int) -> None:
        """The forming candle once a second, and a closed one once more."""
        kind, symbol = tape.profile.instrument.kind, spelling.symbol.lower()
        for interval, length in INTERVAL_MS.items():
            if not self._hub.listens(kind, stream := f"{symbol}@kline_{interval}"):
                continue
            candles = tape.candles(interval, now_ms)[-2:]
            closed_just_now = now_ms % length < 1000
            shown = candles if closed_just_now else candles[-1:]
            events = [spelling.kline_event(each, interval, length, now_ms) for each in shown]
            self._hub.publish(kind, stream, [_json(event) for event in events])


def _aggregate_frames(spelling: Spelling, due: Due) -> list[str]:
    """The aggregate trades whose first trade is sent now; a late first trade holds back the whole."""
    minute, frames = due.minute, []
    for row, sent_ms in zip(due.rows.tolist(), due.sent_ms.tolist(), strict=True):
        number = minute.aggregate[row]
        if row and minute.aggregate[row - 1] == number:
            continue
        stop = int(np.searchsorted(minute.aggregate, number, side="right"))
        trades = minute.trades.select(slice(row, stop))
        frames.append(_json(spelling.aggregate_event(trades, int(number), sent_ms)))
    return frames


def _carried(kind: MarketKind, path: str) -> Callable[[str], bool]:
    if kind is MarketKind.SPOT:
        return lambda _stream: True
    if path == "market":
        return lambda stream: not stream.endswith("@trade")
    return lambda stream: stream.endswith("@trade")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
