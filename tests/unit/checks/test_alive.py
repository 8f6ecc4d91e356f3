"""A container's health check: 0 for 200, else 1 and the reason."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from squeezeflow_plugin.checks.alive import main
from tests.free_ports import free_port


@pytest.mark.parametrize(("answer", "status"), [(200, 0), (503, 1)])
async def test_status(answer: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(status=answer, text="no second is closed yet")

    app = web.Application()
    app.router.add_get("/readyz", page)
    async with TestServer(app) as server:
        url = str(server.make_url("/readyz"))
        assert await asyncio.to_thread(main, [url]) == status
    said = capsys.readouterr().err
    assert said == ("" if status == 0 else f"{url} answers 503: no second is closed yet\n")


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"http://127.0.0.1:{free_port()}/readyz"]) == 1
    assert "refused" in capsys.readouterr().err
