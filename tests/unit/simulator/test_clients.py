from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

from squeezeflow_plugin.simulator.clients import Client


class Socket:
    """Keeps what is sent; closed after so many frames."""

    def __init__(self, most: int) -> None:
        self.sent: list[str | bytes] = []
        self.closed = False
        self._most = most

    async def send_str(self, text: str) -> None:
        await self._keep(text)

    async def send_bytes(self, data: bytes) -> None:
        await self._keep(data)

    async def _keep(self, frame: str | bytes) -> None:
        self.sent.append(frame)
        self.closed = len(self.sent) >= self._most


async def test_texts_and_bytes_are_sent_in_order() -> None:
    socket = Socket(most=3)
    client = Client(socket=cast(web.WebSocketResponse, socket), transport=None)
    assert client.put(["a", b"b"])
    assert client.put(["c"])
    async with asyncio.timeout(5):
        await client.write()
    assert (socket.sent, client.queued) == (["a", b"b", "c"], 0)


def test_one_that_does_not_read_must_go() -> None:
    client = Client(socket=cast(web.WebSocketResponse, Socket(most=1)), transport=None)
    assert client.put(["x"] * 100_000)
    assert not client.put(["x"])
