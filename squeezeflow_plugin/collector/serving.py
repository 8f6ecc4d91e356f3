"""HTTP servers inside the collector's event loop, bounded in what a client may take of it.

The event loop also closes seconds, so a client may be slow or many, but only so slow and so many: connections
are counted; a request's head has to arrive and an answer has to be taken within a time; nothing takes a body.
With a token only who brings it is answered, but for ``/livez`` and ``/readyz``, which supervisors ask.
A server on loopback answers only requests made to loopback, so that a web page whose name was pointed at
127.0.0.1 (DNS rebinding) reads nothing through a browser on this machine.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from squeezeflow_plugin.errors import ProcessError, SettingsError

_LOG = logging.getLogger(__name__)
_REQUESTS = logging.getLogger(f"{__name__}.requests")
_LONGEST_ANSWER_S = 10.0
_SHORTEST_TOKEN = 16
_OPEN = ("/livez", "/readyz")
_END_OF_HEAD = b"\r\n\r\n"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Limits:
    """What one server grants.

    ``connections`` at once, more are closed unanswered; ``head_s`` seconds from a connection to its first
    complete request; ``idle_s`` between two; ``taking_s`` for which a client may leave an answer untaken;
    ``head_bytes`` of a request line, and of a header.
    """

    connections: int = 100
    head_s: float = 10.0
    idle_s: float = 75.0
    taking_s: float = 60.0
    head_bytes: int = 4096


@asynccontextmanager
async def serving(
    app: web.Application, host: str, port: int, what: str, limits: Limits | None = None, token: str = ""
) -> AsyncIterator[None]:
    """Serve the application while the body runs; port 0 serves nothing. An empty ``token`` asks for none.

    Raises ProcessError where the address cannot be listened on, SettingsError for a token that is too short.
    """
    if port == 0:
        yield
        return
    limits = limits or Limits()
    app.middlewares.append(_without_body)
    if _is_loopback(host):
        app.middlewares.append(_for_loopback_only)
    if token:
        app.middlewares.append(_asking(token))
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_REQUESTS,
        shutdown_timeout=_LONGEST_ANSWER_S,
        keepalive_timeout=limits.idle_s,
        max_line_size=limits.head_bytes,
        max_field_size=limits.head_bytes,
        lingering_time=0.5,  # for a body that is refused
    )
    await runner.setup()
    door, listener = _Door(runner, limits), None
    try:
        listener = await _listening(door.protocol, host, port, what)
        _LOG.info("%s on http://%s:%d", what, host, port)
        yield
    finally:
        if listener is not None:
            listener.close()
        await runner.cleanup()


async def check_free(host: str, port: int, what: str) -> None:
    """Raise ProcessError where the address cannot be listened on; port 0 serves nothing."""
    if port:
        listener = await _listening(asyncio.Protocol, host, port, what)
        listener.close()
        await listener.wait_closed()


async def _listening(
    protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int, what: str
) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(protocol, host, port)
    except OSError as error:
        raise ProcessError(
            f"{what} cannot listen on {host}:{port}: {error.strerror or error}; nothing is collected"
        ) from error


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a failure is this server's: what a client sends amiss would fill the log at its will."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_REQUESTS.addFilter(_is_ours)


@dataclass
class _Door:
    """Lets in so many connections."""

    runner: web.AppRunner
    limits: Limits
    inside: set[_Bounded] = field(default_factory=set)

    def protocol(self) -> asyncio.Protocol:
        server = self.runner.server
        assert server is not None  # noqa: S101 - set up before the door opens
        return _Bounded(server(), self)


class _Bounded(asyncio.Protocol):
    """A connection that hands everything on to aiohttp's, and ends where the client is too slow."""

    def __init__(self, inner: asyncio.Protocol, door: _Door) -> None:
        self._inner = inner
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._tail: bytes | None = b""  # of the first request's head; None once it is complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream; narrows the type
        self._transport = transport
        self._inner.connection_made(transport)
        if len(self._door.inside) >= self._door.limits.connections:
            transport.abort()
            return
        self._door.inside.add(self)
        self._end_after(self._door.limits.head_s)

    def data_received(self, data: bytes) -> None:
        if self._tail is not None:
            self._tail += data
            if _END_OF_HEAD in self._tail:
                self._tail = None
                self._stay()
            else:
                self._tail = self._tail[-len(_END_OF_HEAD) :]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._end_after(self._door.limits.taking_s)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._stay()
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stay()
        self._door.inside.discard(self)
        self._inner.connection_lost(exc)

    def _end_after(self, seconds: float) -> None:
        self._stay()
        assert self._transport is not None  # noqa: S101 - connected
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def _stay(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


@web.middleware
async def _without_body(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Nothing here takes a body; one is refused unread."""
    if request.body_exists:
        answer = web.json_response({"error": "nothing here takes a body"}, status=413)
        answer.force_close()
        return answer
    return await handler(request)


@web.middleware
async def _for_loopback_only(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """A request that was made to another name is refused."""
    name = request.headers.get("Host", "")
    if not _is_loopback(_host_of(name)):
        return web.json_response({"error": f"this server is 127.0.0.1, not {name[:100]}"}, status=403)
    return await handler(request)


def _asking(token: str) -> Middleware:
    """What refuses who does not bring the token, as bearer or as the password of any user."""
    if len(token) < _SHORTEST_TOKEN:
        raise SettingsError(
            f"listen_token must have {_SHORTEST_TOKEN} characters or more, had {len(token)};"
            " nothing is started"
        )
    wanted = token.encode()

    @web.middleware
    async def ask(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in _OPEN or hmac.compare_digest(_brought(request), wanted):
            return await handler(request)
        asked = {"WWW-Authenticate": 'Basic realm="squeezeflow", charset="UTF-8"'}
        return web.json_response({"error": "this server asks for its token"}, status=401, headers=asked)

    return ask


def _brought(request: web.Request) -> bytes:
    """The token of a request; empty where it has none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("utf-8", "surrogateescape")
    try:
        login = base64.b64decode(value, validate=True) if scheme.lower() == "basic" else b""
    except ValueError:
        return b""
    return login.partition(b":")[2]


def _host_of(netloc: str) -> str:
    """The host of ``host:port``.

    >>> _host_of("localhost:8090"), _host_of("[::1]:8090"), _host_of("::1")
    ('localhost', '::1', '::1')
    """
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc if netloc.count(":") > 1 else netloc.partition(":")[0]


def _is_loopback(host: str) -> bool:
    """Whether an address or name is this machine alone.

    >>> _is_loopback("127.0.0.1"), _is_loopback("LocalHost"), _is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
