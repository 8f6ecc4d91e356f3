"""The collector's compiled code: loaded beside everything else, so that no trade waits for it.

Until it is there, frames are read and seconds folded without it. Numba's cache holds it from the first start
on; compiled anew, it takes ten seconds or more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from squeezeflow_plugin.collector import intake
from squeezeflow_plugin.feeds.batches import BatchReaders


def prepare(readers: BatchReaders | None = None) -> None:
    """Load the compiled code from Numba's cache, or compile it; blocks.

    The readers come last: from then on blocks of trades are made.
    """
    intake.prepare()
    (readers or BatchReaders()).load()


@asynccontextmanager
async def preparing(readers: BatchReaders) -> AsyncIterator[None]:
    """Load it in a thread meanwhile; in the end it is waited for, and what it failed with is raised."""
    loading = asyncio.create_task(asyncio.to_thread(prepare, readers))
    try:
        yield
    finally:
        await loading
