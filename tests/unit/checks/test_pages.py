"""Pages are asked on loopback, and silence is an error that says where."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from squeezeflow_plugin.checks.pages import Pages
from squeezeflow_plugin.errors import ProcessError, SettingsError
from squeezeflow_plugin.settings import Settings
from tests.free_ports import free_port


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", "127.0.0.1"])  # noqa: S104 - a setting, nothing listens
def test_a_server_that_listens_everywhere_is_asked_on_loopback(listen: str) -> None:
    pages = Pages(Settings(listen=listen, api_port=1, health_port=2))
    assert (pages.api, pages.health) == ("http://127.0.0.1:1", "http://127.0.0.1:2")


def test_silence_is_named() -> None:
    pages = Pages(Settings(health_port=free_port()))
    with pytest.raises(ProcessError, match=rf"nothing answers on {pages.health}/livez: .*refused"):
        pages.get(f"{pages.health}/livez")


async def test_a_failure_has_its_body_and_another_server_is_recognised() -> None:
    async def failing(_request: web.Request) -> web.Response:
        return web.json_response({"status": "failing"}, status=503)

    async def other(_request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    app = web.Application()
    app.router.add_get("/livez", failing)
    app.router.add_get("/other", other)
    async with TestServer(app) as server:
        pages = Pages(Settings(health_port=server.port or 0))
        found = await asyncio.to_thread(pages.json, f"{pages.health}/livez")
        assert found == (503, {"status": "failing"})
        with pytest.raises(ProcessError, match=r"answers 200 with no JSON: b'<html>'"):
            await asyncio.to_thread(pages.json, f"{pages.health}/other")


async def test_the_token_is_brought(tmp_path: Path) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(request.headers.get("Authorization", ""))

    app = web.Application()
    app.router.add_get("/livez", echo)
    file = tmp_path / "token"
    file.write_text("from-a-file\n", encoding="utf-8")
    async with TestServer(app) as server:
        bare = Settings(health_port=server.port or 0)
        for settings, brought in (
            (bare, ""),
            (replace(bare, listen_token="as-it-is"), "Bearer as-it-is"),  # noqa: S106 - of nothing
            (replace(bare, listen_token_file=str(file)), "Bearer from-a-file"),
        ):
            pages = Pages(settings)
            assert await asyncio.to_thread(pages.json, f"{pages.health}/livez") == (200, brought)
    file.unlink()
    with pytest.raises(SettingsError, match=r"listen_token_file .*/token cannot be read: No such file"):
        Pages(Settings(listen_token_file=str(file)))
