"""The simulated exchanges as one HTTP and websocket application on loopback.

Base URLs, with P the port: spot REST ``http://127.0.0.1:P`` (``/api/v3``), USD-M REST the same
(``/fapi/v1``), COIN-M metadata the same (``/dapi/v1/exchangeInfo``, empty), spot streams
``ws://127.0.0.1:P/spot`` (``/ws``, ``/stream``), futures streams ``ws://127.0.0.1:P/futures``
(``/public/ws``, ``/market/ws``, ``/ws``, and ``/stream`` each). ``POST /control/start`` lets the first
squeeze episode break loose, ``GET /control/state`` tells what happened. Other exchanges stand below a
prefix each (``floor.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import SimulatorError
from squeezeflow_plugin.market import MarketKind
from squeezeflow_plugin.settings import Endpoint
from squeezeflow_plugin.simulator import exchange_info
from squeezeflow_plugin.simulator.faults import Fault
from squeezeflow_plugin.simulator.floor import Floor, prefix
from squeezeflow_plugin.simulator.peers import chosen
from squeezeflow_plugin.simulator.rest import RestSide
from squeezeflow_plugin.simulator.streams import Hub, Pump
from squeezeflow_plugin.simulator.tape import Due, Tape
from squeezeflow_plugin.simulator.venue import Planned, Venue

LOOPBACK = "127.0.0.1"
_NS_PER_MS = 1_000_000
_PATHS = {MarketKind.SPOT: ("/spot", ("",)), MarketKind.PERP: ("/futures", ("", "public", "market"))}


class Exchange:
    """The application. No episode breaks loose before ``first_second``, where live collection begins."""

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        first_second: int,
        truth: Callable[[Tape, Due], None] | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        self._venue = venue
        self._clock = clock
        self._first_second = first_second
        self._hub = Hub()
        names = {echo.instrument.exchange for echo in venue.echoes}
        self._floors = [Floor(dialect, venue, clock, faults) for dialect in chosen(names)]
        self._pump = Pump(venue, self._hub, clock, truth, self._floors)
        self._started: Planned | None = None

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(RestSide(self._venue, MarketKind.SPOT, self._clock).routes("/api/v3"))
        app.add_routes(RestSide(self._venue, MarketKind.PERP, self._clock).routes("/fapi/v1"))
        app.add_routes(
            [
                web.get("/dapi/v1/exchangeInfo", self._coinm),
                web.post("/control/start", self._start),
                web.get("/control/state", self._state),
            ]
        )
        for kind, (root, parts) in _PATHS.items():
            for part in parts:
                base = f"{root}/{part}" if part else root
                app.add_routes(
                    [
                        web.get(f"{base}/ws", self._socket(kind, part, wrapped=False)),
                        web.get(f"{base}/ws/{{streams:.+}}", self._socket(kind, part, wrapped=False)),
                        web.get(f"{base}/stream", self._socket(kind, part, wrapped=True)),
                    ]
                )
        for floor in self._floors:
            app.add_routes(floor.routes())
        app.on_shutdown.append(lambda _app: self.close())
        return app

    def start(self) -> Planned | None:
        """Give the word: the first episode breaks loose at the next second. Only the first word counts."""
        if self._started is None:
            second = self._clock.now_ns() // _NS_PER_MS // 1000 + 1
            self._started = self._venue.release(max(second, self._first_second))
        return self._started

    def state(self) -> dict[str, Any]:
        """What has happened up to now, as ``/control/state`` says it."""
        now_ms = self._clock.now_ns() // _NS_PER_MS
        begun = [each for each in self._venue.planned if each.episode.build_start * 1000 <= now_ms]
        return {
            "now_ms": now_ms,
            "first_second": self._first_second,
            "sent": self._pump.sent,
            "clients": len(self._hub.clients) + sum(len(floor.guests) for floor in self._floors),
            "streams": self._hub.streams(),
            "episodes": [_described(each) for each in begun],
        }

    def step(self) -> None:
        """Send everything that is due by now."""
        self._pump.step()

    async def close(self) -> None:
        """End every connection."""
        await self._hub.close()
        for floor in self._floors:
            await floor.close()

    async def send(self) -> None:
        """Send every trade when it is due, until cancelled."""
        await self._pump.run()

    def _socket(self, kind: MarketKind, part: str, *, wrapped: bool) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.WebSocketResponse:
            return await self._hub.serve(request, kind, part, wrapped)

        return handle

    async def _coinm(self, _request: web.Request) -> web.Response:
        return web.json_response(exchange_info.coinm(self._clock.now_ns() // _NS_PER_MS))

    async def _start(self, _request: web.Request) -> web.Response:
        planned = self.start()
        body: dict[str, Any] = {"second": None} if planned is None else _described(planned)
        if planned is not None and planned.episode.release is not None:
            body["offset_s"] = planned.episode.release - self._clock.now_ns() / 1e9
        return web.json_response(body)

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(self.state())


def _described(planned: Planned) -> dict[str, Any]:
    """An episode as JSON: ``second`` is when it breaks loose, null while it waits for the word."""
    episode = planned.episode
    return {
        "asset": planned.base,
        "direction": episode.direction,
        "build_start": episode.build_start,
        "second": episode.release,
        "ending": episode.ending.value,
    }


def endpoints(port: int, exchanges: Iterable[str] = ()) -> dict[str, Endpoint]:
    """What takes the place of the exchanges' own base URLs: of Binance's, and those of ``exchanges``."""
    rest, ws = f"http://{LOOPBACK}:{port}", f"ws://{LOOPBACK}:{port}"
    binance = {
        "BINANCE": Endpoint(rest=rest, ws=f"{ws}/spot"),
        "BINANCE_FUTURES": Endpoint(rest=rest, ws=f"{ws}/futures"),
    }
    return binance | {
        dialect.name: Endpoint(rest=rest + prefix(dialect.name), ws=ws + prefix(dialect.name))
        for dialect in chosen(exchanges)
    }


def bot_exchange(port: int, *, futures: bool = False) -> dict[str, Any]:
    """The part of a FreqTrade configuration's ``exchange`` block that leads ccxt here, to spot or USD-M."""
    rest = f"http://{LOOPBACK}:{port}"
    api = {"public": f"{rest}/api/v3", "fapiPublic": f"{rest}/fapi/v1", "dapiPublic": f"{rest}/dapi/v1"}
    return {
        "enable_ws": False,
        "ccxt_config": {
            "enableRateLimit": False,
            "urls": {"api": api},
            "options": {"fetchMarkets": {"types": ["linear" if futures else "spot"]}},
        },
    }


@dataclass(frozen=True)
class Serving:
    """A running exchange: its port, and the task that sends its trades, which ends only by failing."""

    port: int
    sending: asyncio.Task[None]


@contextlib.asynccontextmanager
async def serving(exchange: Exchange, port: int = 0) -> AsyncIterator[Serving]:
    """Serve on loopback until the block ends. SimulatorError where the port is taken."""
    runner = web.AppRunner(exchange.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port)
        try:
            await site.start()
        except OSError as error:
            raise SimulatorError(
                f"port {port} cannot be used ({error.strerror}); nothing is simulated"
            ) from error
        sending = asyncio.create_task(exchange.send())
        try:
            yield Serving(int(runner.addresses[0][1]), sending)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    finally:
        await runner.cleanup()
