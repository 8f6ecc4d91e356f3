"""Both servers, asked what their descriptions allow and what they do not: never a failure of theirs."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import msgspec
import psutil
import pytest
from aiohttp import ClientResponseError, ClientSession, TCPConnector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.flowpage.page import MOST_READERS
from squeezeflow_plugin.collector.openapi import API, HEALTH, Description
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Settings
from tests.free_ports import LOOPBACK, free_port
from tests.integration.outlets_job import PERP, SPOT, Job

QUESTIONS = 1500
CLIENTS = 20  # addresses on loopback, so that the limit for one of them is not all that is tested
RAW = 400
MOST_GROWN_MB = 15
"""What a thousand questions may leave: an allocator's slack, not a copy of each."""


class Stage:
    """A collector with some closed seconds, on an event loop that the test steps."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.settings = replace(
            Settings(data_dir=folder / "data"), api_port=free_port(), health_port=free_port()
        )
        self._open = self._running()
        self.session: ClientSession = self.run(anext(self._open))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    async def _running(self) -> AsyncIterator[ClientSession]:
        job = Job(self.settings)
        async with job.running(), ClientSession() as session:
            for _ in range(3):
                await job.close_a_second()
            job.closer.on_trades([])
            while True:  # until both answer
                try:
                    for port in (self.settings.api_port, self.settings.health_port):
                        async with session.get(f"http://{LOOPBACK}:{port}/openapi.json") as answer:
                            await answer.read()
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    break
            yield session

    def close(self) -> None:
        self.run(self._open.aclose())  # type: ignore[attr-defined]  # an asynchronous generator
        self.loop.close()

    def port(self, described: Description) -> int:
        return self.settings.api_port if described is API else self.settings.health_port


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("endpoints"))
    yield made
    made.close()


def sessions(stage: Stage, network: int) -> Iterator[list[ClientSession]]:
    """One for each address of a network on loopback."""

    async def make() -> list[ClientSession]:
        addresses = [f"127.0.{network}.{number + 1}" for number in range(CLIENTS)]
        return [ClientSession(connector=TCPConnector(local_addr=(each, 0))) for each in addresses]

    made = stage.run(make())
    yield made
    for each in made:
        stage.run(each.close())


@pytest.fixture(scope="module")
def clients(stage: Stage) -> Iterator[list[ClientSession]]:
    yield from sessions(stage, 1)


@pytest.fixture(scope="module")
def other_clients(stage: Stage) -> Iterator[list[ClientSession]]:
    """Of whom nobody has asked anything yet."""
    yield from sessions(stage, 2)


SPOILED = (
    *("", "0", "-1", "+5", "1e9", "NaN", "null", "%20", "..", "%00", "%ff", "%2e%2e%2f"),
    *(quote(text) for text in ("٣", "x' OR 1=1 --", "\r\nX-Y: z", "<script>", "\u202e", "𝟗" * 20)),
    *("9" * 16, "9" * 17, "9" * 400, "9" * 3000, "-" + "9" * 3000),
)
INTERESTING = st.sampled_from(SPOILED)
MARKETS = st.sampled_from([SPOT.market, PERP.market, f"{SPOT.market}+{PERP.market}", "+", "x' OR 1=1 --"])
VALUES = st.one_of(
    INTERESTING,
    MARKETS.map(quote),
    st.integers(-(10**18), 10**18).map(str),
    st.integers(0, 600).map(lambda back: f"-{back}"),  # seconds before now, see ``path_of``
    st.text(max_size=40).map(lambda text: quote(text, safe="")),
)


def path_of(template: str, values: list[str], now_ms: int) -> str:
    """The path with its parameters filled in; ``-N`` is N seconds before now."""
    left = iter(values)

    def filled(_: re.Match[str]) -> str:
        value = next(left)
        return str(now_ms - int(value[1:]) * 1000) if re.fullmatch(r"-\d{1,3}", value) else value

    return re.sub(r"\{\w+\}", filled, template)


def operations() -> list[tuple[Description, str]]:
    return [(described, path) for described in (API, HEALTH) for path in described["paths"]]


async def ask(session: ClientSession, method: str, url: str, stream: bool) -> tuple[int, str, bytes]:
    try:
        async with session.request(method, URL(url, encoded=True)) as answer:
            body = await (answer.content.readline() if stream else answer.read())
            return answer.status, answer.content_type, body
    except ClientResponseError as error:  # a refusal that the client's parser stumbles over
        return error.status, "", b""


def check(described: Description, path: str, status: int, kind: str, body: bytes) -> None:
    """The answer is one of those that the description has."""
    answers = described["paths"][path]["get"]["responses"]
    assert str(status) in answers, (path, status, body[:200])
    ((content_type, shown),) = answers[str(status)]["content"].items()
    assert kind == content_type
    if content_type == "application/json":
        jsonschema.validate(msgspec.json.decode(body), shown["schema"])


def test_every_route_is_described_and_every_description_a_route(stage: Stage) -> None:
    for described in (API, HEALTH):
        url = f"http://{LOOPBACK}:{stage.port(described)}/openapi.json"
        _, _, body = stage.run(ask(stage.session, "GET", url, stream=False))
        assert msgspec.json.decode(body) == msgspec.to_builtins(described)


@pytest.mark.parametrize(
    ("described", "path"), operations(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_a_description_allows_is_answered_as_it_says(
    stage: Stage, described: Description, path: str
) -> None:
    now_ms = stage.run(_now_ms())
    url = (
        f"http://{LOOPBACK}:{stage.port(described)}{path_of(path, ['-2', '-0', '1000', SPOT.market], now_ms)}"
    )
    status, kind, body = stage.run(ask(stage.session, "GET", url, stream=path.endswith("/events")))
    check(described, path, status, kind, body)


@pytest.mark.parametrize("place", range(4))
def test_one_spoiled_value_among_good_ones_is_refused_or_answered(
    stage: Stage, clients: list[ClientSession], place: int
) -> None:
    path = "/historical/{from}/{to}/{timeframe}/{markets}"
    for value in SPOILED:
        values = ["-2", "-0", "1000", SPOT.market]
        values[place] = value
        url = f"http://{LOOPBACK}:{stage.settings.api_port}{path_of(path, values, stage.run(_now_ms()))}"
        status, kind, body = stage.run(ask(clients[place], "GET", url, stream=False))
        check(API, path, status, kind, body)


def test_memory_stays_whatever_is_asked(stage: Stage, other_clients: list[ClientSession]) -> None:
    """Every question another one; the first third fills pools and caches."""
    rng, process, before = random.Random(7), psutil.Process(), 0
    path = "/historical/{from}/{to}/{timeframe}/{markets}"
    for number in range(QUESTIONS):
        if number == QUESTIONS // 3:
            before = process.memory_info().rss
        values = [
            rng.choice((f"-{number % 600}", str(rng.getrandbits(50)), rng.choice(SPOILED))) for _ in "1234"
        ]
        asked = f"{path_of(path, values, stage.run(_now_ms()))}?{number}"
        url = f"http://{LOOPBACK}:{stage.settings.api_port}{asked}"
        status, _, _ = stage.run(ask(other_clients[number % CLIENTS], "GET", url, stream=False))
        assert status not in {429, 500}
    assert (process.memory_info().rss - before) / 2**20 < MOST_GROWN_MB


async def _now_ms() -> int:
    return SystemClock().now_ns() * 1000 // NS_PER_SECOND


def test_no_question_makes_a_failure(
    stage: Stage, clients: list[ClientSession], caplog: pytest.LogCaptureFixture
) -> None:
    """Any values in any path, any method, any query: below 500, or a status that is described."""
    asked = 0
    paths = [(described, path) for described, path in operations() if not path.endswith("/events")]
    paths += 4 * [
        (described, path) for described, path in paths if "{" in path
    ]  # where there is most to vary

    @settings(
        max_examples=QUESTIONS,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(
        st.sampled_from(paths),
        st.lists(VALUES, min_size=4, max_size=4),
        st.sampled_from(6 * ["GET"] + ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]),
        st.one_of(st.just(""), st.text(max_size=30).map(lambda text: "?" + quote(text, safe="=&"))),
    )
    def one(where: tuple[Description, str], values: list[str], method: str, query: str) -> None:
        nonlocal asked
        described, path = where
        now_ms = stage.run(_now_ms())
        url = f"http://{LOOPBACK}:{stage.port(described)}{path_of(path, values, now_ms)}{query}"
        status, _, body = stage.run(ask(clients[asked % CLIENTS], method, url, stream=False))
        assert status != 429
        allowed = set(described["paths"][path]["get"]["responses"])
        assert status < 500 or str(status) in allowed, (url[:300], status, body[:300])
        asked += 1

    one()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert (
        stage.run(
            ask(stage.session, "GET", f"http://{LOOPBACK}:{stage.settings.health_port}/metrics", stream=False)
        )[0]
        == 200
    )


def test_no_bytes_make_a_failure(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Spoiled requests, on raw sockets: below 500 or no answer, no error in the log, others are served."""

    async def send(port: int, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        try:
            writer.write(sent)
            writer.write_eof()
            return await reader.read(300)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    plain = b"GET /historical/0/1/1000 HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"

    @settings(
        max_examples=RAW,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        st.sampled_from([stage.settings.api_port, stage.settings.health_port]),
        st.integers(0, len(plain)),
        st.integers(0, len(plain)),
        st.binary(max_size=60),
    )
    def one(port: int, start: int, stop: int, junk: bytes) -> None:
        came = stage.run(send(port, plain[:start] + junk + plain[stop:]))
        assert not came or came.startswith(b"HTTP/1.") or b"400" in came[:80]
        assert not re.match(rb"HTTP/1\.\d 5", came), came

    one()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    for described, path in ((API, "/"), (HEALTH, "/metrics")):
        url = f"http://{LOOPBACK}:{stage.port(described)}{path}"
        assert stage.run(ask(stage.session, "GET", url, stream=False))[0] in {200, 429}


def test_a_stream_too_many_is_refused(stage: Stage) -> None:
    url = f"http://{LOOPBACK}:{stage.settings.health_port}/flow/events"

    @asynccontextmanager
    async def streams() -> AsyncIterator[None]:
        held = []
        try:
            for _ in range(MOST_READERS):
                answer = await stage.session.get(url)
                await answer.content.readline()
                held.append(answer)
            yield
        finally:
            for answer in held:
                answer.close()

    async def one_more() -> int:
        async with streams(), stage.session.get(url) as answer:
            return answer.status

    assert stage.run(one_more()) == 503
