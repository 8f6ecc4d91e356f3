"""Talking to InfluxDB 1.6 and later through influxdb-client: its pool, authentication, TLS and WriteApi.

The client is made for 2.x. On 1.8 and later its own path ``/api/v2/write`` is used; 1.6 and 1.7 know only
``/write``, which ``_WriteServiceV1`` posts to in its place, so that batching, retrying and callbacks stay the
client's. A user is sent as HTTP Basic (1.x refuses the ``Token`` scheme; the client's ``username=`` signs in
over an endpoint that 1.x lacks).

Two habits of the server decide how answers are read. As CSV a failed statement is an *empty* success, so a
second statement is sent behind each read: the server runs it only if the first went through, and its answer
proves that. And a point that breaks a rule (type, retention) is dropped while the rest of its batch is kept;
that is an error here like any other.

https://docs.influxdata.com/influxdb/v1/tools/api/
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.csv  # type: ignore[import-untyped]  # the same
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import WriteApi, WriteOptions
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService
from reactivex.scheduler import EventLoopScheduler

from squeezeflow_plugin.errors import (
    SettingsError,
    StoreError,
    StoreIncompleteError,
    StoreMissingError,
    StoreUnavailableError,
)
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.influx_schema import quoted

_BLOB_LINES = 5000  # measured best of 20..12000
_POSTERS = 2  # while the server takes one batch in, it can parse the next
_IN_FLIGHT = 2 * _POSTERS
_SENTINEL = b"name,tags,name,duration,"
_MISSING = re.compile(r"(database|retention policy|measurement) not found")
# Each failed attempt at length, where what matters reaches the caller as an error.
_NOISY = ("influxdb_client.client.write_api", "influxdb_client.client.write.retry", "urllib3.connectionpool")


class Series(msgspec.Struct, frozen=True):
    """One series of an answer: rows as lists, in the order of ``columns``."""

    columns: list[str] = []
    values: list[list[Any]] = []
    name: str = ""
    tags: dict[str, str] = {}


class _Result(msgspec.Struct, frozen=True):
    series: list[Series] = []
    error: str | None = None
    partial: bool = False


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []
    error: str | None = None


class _WriteServiceV1(WriteService):
    """Posts what the WriteApi has batched to ``/write``."""

    def post_write_with_http_info(self, org: str, bucket: str, body: bytes, **kwargs: Any) -> Any:  # noqa: ARG002 - 1.x has no organisations
        database, _, policy = bucket.partition("/")
        return self.api_client.call_api(
            "/write",
            "POST",
            {},
            [("db", database), ("rp", policy), ("precision", kwargs["precision"])],
            {"Content-Type": kwargs["content_type"]},
            body=body,
            auth_settings=[],
            _return_http_data_only=True,
            urlopen_kw=kwargs.get("urlopen_kw"),
        )


class InfluxServer:
    """One InfluxDB and one database in it, as the settings name them; nothing is sent before the first use.

    Raises SettingsError without a URL or for a password file that cannot be read; each call raises
    StoreUnavailableError, StoreMissingError or, where the server refuses what it was given, StoreError. One
    thread at a time.
    """

    def __init__(self, settings: Settings) -> None:
        if not settings.influx_url:
            raise SettingsError("influx_url must be set to use InfluxDB, was ''; nothing is started")
        self.database = settings.influx_database
        self.url = settings.influx_url.rstrip("/")
        self._user = settings.influx_user
        self._timeout_s = settings.influx_timeout_s
        credentials = f"{settings.influx_user}:{_password(settings)}" if settings.influx_user else ""
        self._client: Any = InfluxDBClient(
            url=self.url,
            token=credentials,  # without one no Authorization is sent
            auth_basic=bool(credentials),
            org="-",
            timeout=int(settings.influx_timeout_s * 1000),
            verify_ssl=settings.influx_verify_tls,
            ssl_ca_cert=settings.influx_ca_file or None,
        )
        self._writer: _Writer | None = None

    def write(self, policy: str, lines: Iterable[str]) -> None:
        """Write lines of seconds' precision; returns when the server has acknowledged every one.

        Where it raises, any part of the lines may have been written.
        """
        with self.writing(policy, lines):
            pass

    @contextmanager
    def writing(self, policy: str, lines: Iterable[str]) -> Iterator[None]:
        """``write`` whose last batches are under way while the body runs; all are acknowledged behind it."""
        if self._writer is None:
            self._writer = _Writer(self._client, self._is_v1(), self._timeout_s)
        bucket = f"{self.database}/{policy}"
        source = iter(lines)
        blobs = iter(lambda: "\n".join(islice(source, _BLOB_LINES)).encode(), b"")
        try:
            with self._typed_errors("write"):
                self._writer.begin(bucket, blobs)
            yield
        finally:
            writer = self._writer
            if writer.is_stuck:
                self._writer = None
            else:
                self._finish(writer)

    def ask(self, *statements: str, epoch: str = "ms") -> list[list[Series]]:
        """The series of each read statement, in one request; the way for small answers."""
        return self._decode(self._get("; ".join(statements), "application/json", epoch), statements)

    def command(self, *statements: str) -> list[list[Series]]:
        """Statements that change something (CREATE, ALTER, SELECT INTO)."""
        with self._typed_errors("command"):
            answer = self._request(
                "POST", "/query", {"db": self.database, "q": "; ".join(statements)}, encode_multipart=False
            )
        return self._decode(self._body(answer), statements)

    def table(self, select: str, columns: Mapping[str, pa.DataType]) -> pa.Table:
        """The rows of one SELECT as columns, ``time`` in milliseconds first; the way for large answers.

        Raises StoreIncompleteError where the server ended the answer early.
        """
        proof = f"SHOW RETENTION POLICIES ON {quoted(self.database)}"
        body = self._get(f"{select}; {proof}", "application/csv", "ms")
        end = body.rfind(_SENTINEL)
        if end < 0:
            self.ask(f"{select} LIMIT 1")  # says what is wrong, where it is still wrong
            raise StoreIncompleteError(f"{self._where}: an answer ended early; nothing of it is used")
        types = {"time": pa.int64(), **columns}
        rows = body[:end].strip()
        if not rows:
            return pa.table({name: pa.array([], type=kind) for name, kind in types.items()})
        try:
            return pyarrow.csv.read_csv(
                pa.BufferReader(rows),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(types),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
                # Arrow's own pool keeps what large answers took: 30 MB of a bot, from its start to its end.
                memory_pool=pa.system_memory_pool(),
            )
        except pa.ArrowInvalid as error:
            raise StoreError(f"{self._where}: an answer cannot be read: {error}; it is not used") from error

    def version(self) -> str:
        """The server's version, e.g. 1.6.7~rc0."""
        with self._typed_errors("ping"):
            answer = self._request("GET", "/ping")
        if answer.status >= 300:  # a server that cannot answer this must not be taken for another version
            raise self._refused(answer.status, answer.data)
        return str(answer.headers.get("X-Influxdb-Version", "unknown"))

    def close(self) -> None:
        """Give up the connections; every acknowledged line is kept."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._client.close()

    @property
    def _where(self) -> str:
        return f"InfluxDB {self.url}, database {self.database}"

    def _finish(self, writer: _Writer) -> None:
        try:
            with self._typed_errors("write"):
                writer.finish()
        finally:
            if writer.is_stuck:
                self._writer = None

    def _is_v1(self) -> bool:
        major, _, rest = self.version().partition(".")
        minor = rest.partition(".")[0]
        return major == "1" and minor.isdecimal() and int(minor) < 8

    def _request(
        self,
        method: str,
        path: str,
        fields: dict[str, str] | None = None,
        accept: str = "application/json",
        **options: Any,
    ) -> Any:
        """One request over the client's pool, with its credentials, tried once."""
        api = self._client.api_client
        return api.rest_client.pool_manager.request(
            method,
            f"{self.url}{path}",
            fields=fields,
            headers={**api.default_headers, "Accept": accept},
            timeout=urllib3.Timeout(self._timeout_s),
            retries=False,
            **options,
        )

    def _get(self, query: str, accept: str, epoch: str) -> bytes:
        fields = {"db": self.database, "epoch": epoch, "q": query}
        with self._typed_errors("query"):
            try:
                answer = self._request("GET", "/query", fields, accept)
            except urllib3.exceptions.ProtocolError:  # a kept connection may have died unseen
                answer = self._request("GET", "/query", fields, accept)
        return self._body(answer)

    def _body(self, answer: Any) -> bytes:
        body: bytes = answer.data
        if answer.status != 200:
            raise self._refused(answer.status, body)
        return body

    def _decode(self, body: bytes, statements: tuple[str, ...]) -> list[list[Series]]:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.MsgspecError as error:
            raise StoreUnavailableError(f"{self._where}: an answer is no JSON: {error}") from error
        for number, result in enumerate(answer.results):
            if result.error is not None:
                raise self._failed(f"{result.error} ({statements[min(number, len(statements) - 1)][:120]})")
            if result.partial:
                raise StoreIncompleteError(f"{self._where}: an answer was cut short; nothing of it is used")
        if answer.error is not None:
            raise self._failed(answer.error)
        return [result.series for result in answer.results]

    def _failed(self, reason: str) -> StoreError:
        if _MISSING.search(reason):
            return StoreMissingError(f"{self._where}: {reason}; `squeezeflow db setup` makes what is missing")
        return StoreError(f"{self._where}: {reason}; nothing was changed")

    def _refused(self, status: int, body: bytes | str | None) -> StoreError:
        reason = _reason(body)
        if status in {401, 403}:
            who = f"user {self._user!r}" if self._user else "a request without a user (INFLUX_USER)"
            return StoreUnavailableError(f"{self._where} refuses {who}: {status} {reason}")
        if _MISSING.search(reason):
            return self._failed(reason)
        if status >= 429:
            return StoreUnavailableError(f"{self._where} answered {status}: {reason}")
        return StoreError(f"{self._where} refused it with {status}: {reason}")

    @contextmanager
    def _typed_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise self._refused(error.status or 0, error.body) from error
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnavailableError(f"{self._where} cannot be reached ({what}): {error}") from error


class _Writer:
    """The client's batching, retrying WriteApi with an end: ``finish`` returns when all is acknowledged.

    The client counts calls, not lines, so what it is given are whole batches of lines, a few at a time.
    """

    def __init__(self, client: Any, is_v1: bool, timeout_s: float) -> None:
        self.is_stuck = False
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # Three attempts within a second or so, then the caller knows; each may take the client's time limit.
        self._patience_s = 4 * timeout_s + 30
        self._free = threading.Semaphore(_IN_FLIGHT)
        self._failures: list[Exception] = []
        self._client, self._is_v1, self._timeout_s = client, is_v1, timeout_s
        self._apis: list[Any] = []  # each posts one batch after the other

    def _make_api(self) -> Any:
        api: Any = WriteApi(
            self._client,
            WriteOptions(
                batch_size=1,
                flush_interval=1_000,
                retry_interval=200,
                max_retries=3,
                max_retry_delay=2_000,
                max_retry_time=int(self._timeout_s * 1000),
                max_close_wait=int(self._timeout_s * 1000),
                # The default is one pool for every WriteApi, whose threads hold up the end of the process.
                write_scheduler=EventLoopScheduler(),
            ),
            success_callback=lambda _key, _data: self._free.release(),
            error_callback=self._note_failure,
        )
        if self._is_v1:
            service: Any = _WriteServiceV1
            api._write_service = service(self._client.api_client)  # noqa: SLF001 - the client offers no other way
        return api

    def begin(self, bucket: str, blobs: Iterable[bytes]) -> None:
        """Hand over every batch, at most ``_IN_FLIGHT`` at a time; ``finish`` has to follow.

        Stops at the first failure, which ``finish`` then raises.
        """
        self._failures.clear()
        for number, blob in enumerate(blobs):
            self._take()
            if self._failures:
                self._free.release()
                return
            if number == len(self._apis) < _POSTERS:
                self._apis.append(self._make_api())
            self._apis[number % _POSTERS].write(bucket, "-", blob, write_precision="s")

    def finish(self) -> None:
        """Raises what the client raised for the first batch that failed; no batch is under way afterwards."""
        for _ in range(_IN_FLIGHT):
            self._take()
        self._free.release(_IN_FLIGHT)
        if self._failures:
            raise self._failures[0]

    def close(self) -> None:
        for api in self._apis:
            api.close()

    def _take(self) -> None:
        if not self._free.acquire(timeout=self._patience_s):
            self.is_stuck = True
            raise StoreUnavailableError(f"InfluxDB has not answered a write for {self._patience_s:.0f} s")

    def _note_failure(self, _key: object, _data: object, error: Exception) -> None:
        self._failures.append(error)
        self._free.release()


def _password(settings: Settings) -> str:
    if not settings.influx_password_file:
        return settings.influx_password
    try:
        return Path(settings.influx_password_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"influx_password_file {settings.influx_password_file} cannot be read: {error};"
            " nothing is started"
        ) from error


def _reason(body: bytes | str | None) -> str:
    """The server's own words out of an answer's body."""
    try:
        return msgspec.json.decode(body or b"", type=_Answer).error or "without a reason"
    except msgspec.MsgspecError:
        return repr((body or b"")[:200])
