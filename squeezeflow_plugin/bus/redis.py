"""The bus on Redis Streams: one stream a collector, one entry a second, trimmed to about ``hold_seconds``.

An entry's id is made from its second, so that announcing it again cannot double it, and a reader that comes
back after a restart - its own, or that of a Redis which has lost everything - goes on from the second it
knows. Measurements are behind three choices: one entry for all markets of a second (0.8 ms from writer to
reader; an entry for each market took 2.8 ms), blocking reads in slices below the socket's time limit
(redis-py takes a longer one for a dead server, and hung for 59 s), and one retry at most, on a connection
that turned out to be closed (a dead server cost a call 2.9 s).

https://redis.io/docs/latest/develop/data-types/streams/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from squeezeflow_plugin.bus import wire
from squeezeflow_plugin.bus.contract import HOLD_SECONDS
from squeezeflow_plugin.clock import Clock, SystemClock
from squeezeflow_plugin.errors import BusConflictError, BusError, BusGapError, SettingsError
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.settings import Settings

_PASSED = "equal or smaller than the target stream top item"
_SLICE_MS = 200
_BATCH = 256

Client = Any  # redis-py's own annotations join its synchronous and asynchronous answers
_Entry = tuple[bytes, dict[bytes, bytes]]


def connect(settings: Settings, patience_s: float) -> Client:
    """A client for the server that the settings name; nothing is sent yet.

    ``patience_s`` bounds connecting and each answer. Raises SettingsError for a URL or a password file that
    cannot be used.
    """
    options: dict[str, Any] = {
        "socket_timeout": patience_s,
        "socket_connect_timeout": patience_s,
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        "protocol": 2,
        "client_name": "squeezeflow",
    }
    password = settings.redis_password
    if settings.redis_password_file:
        try:
            password = Path(settings.redis_password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"redis_password_file {settings.redis_password_file} cannot be read: {error};"
                " nothing is started"
            ) from error
    if password:
        options["password"] = password
    if settings.redis_username:
        options["username"] = settings.redis_username
    if not settings.redis_url:
        return redis.Redis(host=settings.redis_host, port=settings.redis_port, **options)
    try:
        return redis.Redis.from_url(settings.redis_url, **options)
    except ValueError:
        # The cause is not told: it quotes what stands where the port should, which may be part of a password.
        raise SettingsError(
            "redis_url cannot be used: it must be redis:// or rediss:// with host and port, special"
            " characters of a password as %XX; nothing is started"
        ) from None


class RedisBarBus:
    """Keeps the ``BarBus`` contract on the server of ``client`` (see ``connect``), which it closes."""

    def __init__(self, client: Client, hold_seconds: int = HOLD_SECONDS, clock: Clock | None = None) -> None:
        self._client = client
        self._hold_seconds = hold_seconds
        self._clock = clock or SystemClock()

    def publish(self, records: Sequence[ClosingRecord]) -> None:
        """As the contract says; one round trip for each few hundred records."""
        for first in range(0, len(records), _BATCH):
            batch = records[first : first + _BATCH]
            with _typed_errors():
                pipeline = self._client.pipeline(transaction=False)
                for record in batch:
                    pipeline.xadd(
                        wire.bars_key(record.collector),
                        wire.encode(record),
                        id=wire.entry_id(record.second),
                        maxlen=self._hold_seconds,
                        approximate=True,
                    )
                answers = pipeline.execute(raise_on_error=False)
            for record, answer in zip(batch, answers, strict=True):
                self._check(record, answer)

    def last_second(self, collector: str) -> int | None:
        """As the contract says; an id that is none of ours counts as the second it lies in."""
        with _typed_errors():
            newest = self._client.xrevrange(wire.bars_key(collector), count=1)
        return int(newest[0][0].partition(b"-")[0]) // 1000 if newest else None

    def forget(self, collector: str) -> None:
        """As the contract says."""
        with _typed_errors():
            self._client.delete(wire.bars_key(collector))

    def follow(self, collector: str, after: int, timeout_s: float) -> tuple[ClosingRecord, ...]:
        """As the contract says."""
        deadline_ns = self._clock.now_ns() + int(timeout_s * NS_PER_SECOND)
        while True:
            left_ms = (deadline_ns - self._clock.now_ns()) // 1_000_000
            found = self._read(collector, after, min(left_ms, _SLICE_MS))
            if found:
                return tuple(_consecutive(collector, after, found))
            if left_ms <= _SLICE_MS:
                return ()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read(self, collector: str, after: int, block_ms: int) -> list[_Entry]:
        """Entries with a greater id than that of ``after``; BLOCK 0 would wait for ever."""
        with _typed_errors():
            answer = self._client.xread(
                {wire.bars_key(collector): wire.entry_id(after)},
                count=_BATCH,
                block=block_ms if block_ms > 0 else None,
            )
        return answer[0][1] if answer else []

    def _check(self, record: ClosingRecord, answer: object) -> None:
        """Raise where the server refused the record for another reason than having it already."""
        if not isinstance(answer, redis.RedisError):
            return
        if _PASSED not in str(answer):
            raise BusError(f"bus: second {record.second} was refused: {answer}; the store has it") from answer
        key, identity = wire.bars_key(record.collector), wire.entry_id(record.second)
        with _typed_errors():
            held = self._client.xrange(key, identity, identity)
            oldest = self._client.xrange(key, count=1)
        if held and held[0][1] == wire.encode(record):
            return
        if held or (oldest and int(oldest[0][0].partition(b"-")[0]) <= record.second * 1000):
            raise BusConflictError(
                f"bus: collector {record.collector!r} has passed second {record.second} with"
                f" {'another record' if held else 'no record'}; the stream stays as it is"
            )


def _consecutive(collector: str, after: int, found: Sequence[_Entry]) -> Iterator[ClosingRecord]:
    """The entries as records as long as each follows the other; BusGapError where the first does not."""
    for offset, (identity, fields) in enumerate(found, start=1):
        if wire.second_of(identity) != after + offset:
            if offset == 1:
                raise BusGapError(
                    f"bus: collector {collector!r} goes on with entry {identity.decode()}, not with second"
                    f" {after + 1}; the store has what is between"
                )
            return
        yield wire.decode(collector, identity, fields)


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise BusError(f"bus: Redis: {error or type(error).__name__}; the store has everything") from error
