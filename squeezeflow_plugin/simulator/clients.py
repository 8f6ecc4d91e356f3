"""A client of a simulated exchange: what waits for it is sent in order, and one that does not read is cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

CLOSE_WITHIN_S = 1.0  # how long a client that does not answer can hold up the end
_QUEUED_FRAMES = 100_000


@dataclass(eq=False, kw_only=True)
class Client:
    """One connection; ``queued`` frames wait to be sent."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    waiting: asyncio.Queue[Sequence[str | bytes]] = field(default_factory=asyncio.Queue)
    queued: int = 0

    async def write(self) -> None:
        """Send what waits, in order, until the connection ends."""
        # a client may go while it is being sent something; its handler then ends, too
        with contextlib.suppress(ConnectionError):
            while not self.socket.closed:
                frames = await self.waiting.get()
                for frame in frames:
                    if isinstance(frame, str):
                        await self.socket.send_str(frame)
                    else:
                        await self.socket.send_bytes(frame)
                self.queued -= len(frames)

    def put(self, frames: Sequence[str | bytes]) -> bool:
        """Queue frames; False where the client does not keep up and must go."""
        self.queued += len(frames)
        self.waiting.put_nowait(frames)
        return self.queued <= _QUEUED_FRAMES
