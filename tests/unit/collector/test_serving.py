"""A server takes only so many clients, so slow, and only those who asked for this machine."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from squeezeflow_plugin.collector.serving import Limits, serving
from squeezeflow_plugin.errors import SettingsError
from tests.free_ports import LOOPBACK, free_port

LARGE = bytes(20_000_000)
QUICK = Limits(connections=5, head_s=0.2, idle_s=0.2, taking_s=0.2, head_bytes=1024)


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def large(_request: web.Request) -> web.Response:
    return web.Response(body=LARGE)


@asynccontextmanager
async def served(limits: Limits | None = None, host: str = LOOPBACK, token: str = "") -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_get("/large", large)
    app.router.add_get("/livez", hello)
    port = free_port()
    async with serving(app, host, port, "test", limits, token), asyncio.timeout(30):
        yield port


async def raw(port: int, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends, however it ends."""
    came = b""
    try:
        while part := await reader.read(65536):
            came += part
    except ConnectionError:
        pass
    return came


def request(path: str = "/", host: str = LOOPBACK, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(begun: bytes) -> None:
    async with served(QUICK) as port:
        reader, writer = await raw(port, begun)
        assert await rest_of(reader) == b""
        writer.close()


async def test_a_client_that_only_drips_its_head_is_ended_too() -> None:
    async with served(QUICK) as port:
        reader, writer = await raw(port, b"GET / HTTP/1.1\r\n")

        async def drip() -> None:
            while not reader.at_eof():
                writer.write(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await rest_of(reader) == b""
        dripping.cancel()
        writer.close()


async def test_an_idle_connection_ends() -> None:
    async with served(QUICK) as port:
        reader, writer = await raw(port, request())
        assert (await rest_of(reader)).endswith(b"hello")
        writer.close()


async def test_an_answer_that_is_not_taken_ends_the_connection() -> None:
    async with served(QUICK) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port, limit=1024)
        writer.write(request("/large"))
        first = await reader.read(100)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket's transport
        async with ClientSession() as session:  # others are answered meanwhile
            async with session.get(f"http://{LOOPBACK}:{port}/") as answer:
                assert await answer.text() == "hello"
            await asyncio.sleep(5 * QUICK.taking_s)  # the time limit itself is what is seen to pass
        writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
        assert first.startswith(b"HTTP/1.1 200")
        assert len(await rest_of(reader)) < len(LARGE)
        writer.close()


async def test_one_connection_too_many_is_closed_and_leaves_room_when_others_go() -> None:
    async with served(Limits(connections=3)) as port:
        held = [await raw(port, request()) for _ in range(3)]
        for reader, _ in held:
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        reader, writer = await raw(port, request())
        assert await rest_of(reader) == b""
        writer.close()
        held[0][1].close()
        await held[0][1].wait_closed()
        while True:
            reader, writer = await raw(port, request(more="Connection: close\r\n"))
            came = await rest_of(reader)
            writer.close()
            if came.endswith(b"hello"):
                break
        for _, writer in held[1:]:
            writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/" + "x" * 3000), 400),
        (request(more=f"X-Long: {'x' * 3000}\r\n"), 400),
        (request(more="Content-Length: 3\r\n") + b"abc", 413),
        (request(more="Transfer-Encoding: chunked\r\n"), 413),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (request(host="evil.example"), 403),
        (request(host="evil.example:8090"), 403),
        (b"GET / HTTP/1.0\r\n\r\n", 403),
        (request(host="localhost:1"), 200),
        (request(host="[::1]:8090"), 200),
    ],
)
async def test_what_is_refused_and_what_is_not(sent: bytes, status: int) -> None:
    async with served(QUICK) as port:
        reader, writer = await raw(port, sent)
        assert (await rest_of(reader)).split(b" ", 2)[1] == str(status).encode()
        writer.close()


async def test_beyond_loopback_any_name_is_answered() -> None:
    async with served(QUICK, host="0.0.0.0") as port:  # noqa: S104 - what is tested
        reader, writer = await raw(port, request(host="aggr-server:8090"))
        assert (await rest_of(reader)).endswith(b"hello")
        writer.close()


TOKEN = "some-token-of-a-length"  # noqa: S105 - asked for below


@pytest.mark.parametrize(
    ("login", "status"),
    [
        ("", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer ", 401),
        ("Basic !!!", 401),
        (f"Basic {b64encode(b'me').decode()}", 401),
        (f"Basic {b64encode(f'me:{TOKEN}x'.encode()).decode()}", 401),
        (f"Digest {TOKEN}", 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Basic {b64encode(f'anyone:{TOKEN}'.encode()).decode()}", 200),
    ],
)
async def test_a_token_is_asked_for(login: str, status: int) -> None:
    more = f"Authorization: {login}\r\n" if login else ""
    async with served(QUICK, token=TOKEN) as port:
        reader, writer = await raw(port, request(more=more))
        came = await rest_of(reader)
        assert came.split(b" ", 2)[1] == str(status).encode()
        assert (b"WWW-Authenticate: Basic" in came) == (status == 401)
        writer.close()
        reader, writer = await raw(port, request("/livez"))  # for supervisors
        assert (await rest_of(reader)).endswith(b"hello")
        writer.close()


async def test_a_short_token_is_none() -> None:
    with pytest.raises(SettingsError, match="must have 16 characters or more, had 5") as refused:
        async with served(token="short"):  # noqa: S106 - refused
            pass
    assert "short;" not in str(refused.value)
