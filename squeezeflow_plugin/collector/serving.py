"""HTTP servers inside the collector's event loop."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from squeezeflow_plugin.errors import ProcessError

_LOG = logging.getLogger(__name__)
_LONGEST_ANSWER_S = 10.0


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int, what: str) -> AsyncIterator[None]:
    """Serve the application while the body runs; port 0 serves nothing.

    Raises ProcessError where the address cannot be listened on.
    """
    if port == 0:
        yield
        return
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LONGEST_ANSWER_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ProcessError(
                f"{what} cannot listen on {host}:{port}: {error.strerror or error}; nothing is collected"
            ) from error
        _LOG.info("%s on http://%s:%d", what, host, port)
        yield
    finally:
        await runner.cleanup()
