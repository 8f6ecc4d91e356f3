"""The collector's compiled code: loaded when the load asks for it, and beside everything else.

Until it is there, frames are read and seconds folded without it. Numba's cache holds it from an installation
or the first use on; compiled anew, it takes ten seconds or more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from squeezeflow_plugin.collector import intake
from squeezeflow_plugin.feeds.batches import BatchReaders

_LOG = logging.getLogger(__name__)


def prepare(readers: BatchReaders | None = None) -> None:
    """Load the compiled code from Numba's cache, or compile it; blocks.

    The readers come last: from then on blocks of trades are made.
    """
    intake.prepare()
    (readers or BatchReaders()).load()


@asynccontextmanager
async def preparing(readers: BatchReaders) -> AsyncIterator[None]:
    """Load it in a thread once it is wanted.

    What it fails with is logged, and raised in the end, for which it is waited.
    """

    async def load() -> None:
        await readers.wanted.wait()
        _LOG.info("many trades come at once: loading what reads them together")
        await asyncio.to_thread(prepare, readers)

    loading = asyncio.create_task(load())
    loading.add_done_callback(_say_failure)
    try:
        yield
    finally:
        if not readers.wanted.is_set():
            loading.cancel()
        with suppress(asyncio.CancelledError):
            await loading


def _say_failure(loading: asyncio.Task[None]) -> None:
    if not loading.cancelled() and (error := loading.exception()) is not None:
        _LOG.error("what reads them together cannot be loaded: %r; frames are read one by one", error)
