"""Spoiled frames for an adapter: whatever comes, it is read, or named and counted, at once and for no memory.

The frames of ``tests/frames`` are the seeds. Each round takes one, spoils it - values of other kinds, pieces
cut out, doubled, mixed with another frame's, bits turned, noise - and has a session read it, now one that
follows a plan, now one that does not, anew after every thousand frames as after a reconnect.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import random
import re
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import psutil

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import FrameParser
from squeezeflow_plugin.feeds.registry import adapter, found
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import Instrument

FRAMES = Path(__file__).parents[1] / "frames"
LONGEST_MS = 100.0
GROWTH_MB = 24.0
"""What a session may remember of markets it has seen (20,000 names), and what the allocator keeps."""
_RECONNECT_EVERY = 1000
_RECEIVED_NS = 1_767_225_600_500_000_000
_GZIP = b"\x1f\x8b"
_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')
_TOKENS = (
    *("null", "true", "[]", "{}", '""', '"x"', "0", "-1", "1e999", "-1e-999", '"NaN"', '"inf"', "NaN", "1.5"),
    *("99999999999999999999", "9" * 400, '"' + "9" * 400 + '"', '"1e308"', '"5e-324"', "1e308", "5e-324"),
    *(
        '"\\ud800"',
        '"\\u0000"',
        '"' + "A" * 5000 + '"',
        "[" * 500,
        '{"a":' * 500,
        '[[["a"]]]',
        '{"":{"":[]}}',
    ),
    *(
        "1767225600123",
        '"1767225600123"',
        "4102444800001",
        '"2026-13-01T00:00:00Z"',
        '"subscribe"',
        '"trade"',
    ),
)
_NOISE = '{}[]",:0189.-eE\\ \n\x00aZ\u00e9\U0001f600'


@dataclass(frozen=True)
class FuzzOutcome:
    """What an adapter made of the frames. ``slowest_ms`` CPU time of one frame; ``growth_mb`` resident memory
    between the first fifth and the end; ``reasons`` how many the collector tells apart.
    """

    exchange: str
    seed: int
    frames: int
    parsed: int
    rejected: int
    counted: int
    reasons: int
    slowest_ms: float
    growth_mb: float
    slowest: str

    @property
    def is_ok(self) -> bool:
        return (
            self.counted == self.rejected
            and self.slowest_ms <= LONGEST_MS
            and self.growth_mb <= GROWTH_MB
            and self.parsed > 0
        )

    @property
    def replay(self) -> str:
        """The command that feeds the same frames again."""
        return f"python -m tests.soak --seed {self.seed} --schedule fuzz --exchange {self.exchange}"

    def line(self) -> str:
        """One JSON line."""
        body = {"schedule": "fuzz"} | asdict(self) | {"ok": self.is_ok}
        return json.dumps(body if not self.is_ok else {k: v for k, v in body.items() if k != "slowest"})


def fuzz(exchange: str, seed: int, frames: int) -> FuzzOutcome:
    """Feed so many spoiled frames. What an adapter raises besides FeedProtocolError is raised on."""
    instruments, seeds = _frames_of(exchange)
    rng = random.Random(f"{exchange} {seed}")
    plans = [None, *adapter(exchange).plan(instruments)]
    parsed = rejected = slowest_ns = 0
    slowest: str | bytes = ""
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder, _counting(instruments, Path(folder)) as (intake, tally):
        before = process.memory_info().rss
        for number in range(frames):
            if number == frames // 5:
                before = process.memory_info().rss
            if number % _RECONNECT_EVERY == 0:
                plan = rng.choice(plans)
                parse = adapter(exchange).session(plan).parse
            frame = _spoiled(rng, seeds)
            begun = time.process_time_ns()
            try:
                result = parse(frame, _RECEIVED_NS)
            except FeedProtocolError as error:
                reasons: Sequence[str] = (str(error),)
            else:
                parsed += 1
                reasons = result.rejected
            taken = time.process_time_ns() - begun
            if taken > slowest_ns:
                taken = min(taken, _again_ns(adapter(exchange).session(plan), frame))
            if taken > slowest_ns:
                slowest_ns, slowest = taken, frame
            rejected += len(reasons)
            for reason in reasons:
                intake.rejected(exchange, reason, frame)
        growth = process.memory_info().rss - before
    return FuzzOutcome(
        exchange,
        seed,
        frames,
        parsed,
        rejected,
        counted=sum(tally.rejected.values()),
        reasons=len(tally.rejected),
        slowest_ms=round(slowest_ns / 1e6, 3),
        growth_mb=round(growth / 2**20, 2),
        slowest=repr(slowest[:200]),
    )


def _again_ns(session: FrameParser, frame: str | bytes) -> int:
    """CPU time of the frame read once more: what was a garbage collection the first time is none now."""
    begun = time.process_time_ns()
    with suppress(FeedProtocolError):
        session.parse(frame, _RECEIVED_NS)
    return time.process_time_ns() - begun


def _frames_of(exchange: str) -> tuple[list[Instrument], list[str | bytes]]:
    """What the exchange's frames file holds."""
    module = found()[exchange].__module__.rpartition(".")[2]
    rows = [json.loads(line) for line in (FRAMES / f"{module}.jsonl").read_text().splitlines()]
    frames = [base64.b64decode(row["raw_b64"]) if "raw_b64" in row else str(row["raw"]) for row in rows[1:]]
    return msgspec.convert(rows[0]["instruments"], list[Instrument]), frames


@contextmanager
def _counting(instruments: Sequence[Instrument], folder: Path) -> Iterator[tuple[Intake, Tally]]:
    """The collector's own count of what cannot be read, without its log lines."""
    logger = logging.getLogger("squeezeflow_plugin")
    level, tally = logger.level, Tally()
    closer = Closer("main", [each.market for each in instruments], started_ns=0)
    logger.setLevel(logging.CRITICAL)
    try:
        with TradeJournal(folder) as journal:
            yield Intake(closer, journal, tally), tally
    finally:
        logger.setLevel(level)


def _spoiled(rng: random.Random, seeds: Sequence[str | bytes]) -> str | bytes:
    frame = rng.choice(seeds)
    if isinstance(frame, str):
        text = _spoiled_text(rng, frame, seeds)
        return text.encode("utf-8", "surrogatepass") if rng.random() < 0.2 else text
    if frame.startswith(_GZIP) and rng.random() < 0.6:
        try:
            text = zlib.decompress(frame, wbits=31).decode()
        except zlib.error:
            return _spoiled_bytes(rng, frame)
        spoiled = _spoiled_text(rng, text, seeds).encode("utf-8", "surrogatepass")
        return gzip.compress(spoiled, compresslevel=1, mtime=0)
    return _spoiled_bytes(rng, frame)


def _spoiled_text(rng: random.Random, text: str, seeds: Sequence[str | bytes]) -> str:
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        if not text:
            break
        text = rng.choice(_TEXT_WAYS)(rng, text, seeds)
    return text[:200_000]


def _replace_value(rng: random.Random, text: str, _seeds: Sequence[str | bytes]) -> str:
    values = list(_VALUE.finditer(text))
    if not values:
        return rng.choice(_TOKENS)
    chosen = rng.choice(values)
    return text[: chosen.start()] + rng.choice(_TOKENS) + text[chosen.end() :]


def _double(rng: random.Random, text: str, _seeds: Sequence[str | bytes]) -> str:
    start, stop = sorted((rng.randrange(len(text)), rng.randrange(len(text))))
    return text[:stop] + text[start:stop] * rng.choice((1, 1, 20)) + text[stop:]


def _cut_out(rng: random.Random, text: str, _seeds: Sequence[str | bytes]) -> str:
    start, stop = sorted((rng.randrange(len(text)), rng.randrange(len(text))))
    return text[:start] + text[stop:]


def _scribble(rng: random.Random, text: str, _seeds: Sequence[str | bytes]) -> str:
    letters = list(text)
    for _ in range(rng.randrange(1, 6)):
        letters[rng.randrange(len(letters))] = rng.choice(_NOISE)
    return "".join(letters)


def _splice(rng: random.Random, text: str, seeds: Sequence[str | bytes]) -> str:
    other = rng.choice(seeds)
    tail = other if isinstance(other, str) else other.decode("latin-1")
    return text[: rng.randrange(len(text))] + tail[rng.randrange(len(tail) + 1) :]


_TEXT_WAYS: tuple[Callable[[random.Random, str, Sequence[str | bytes]], str], ...] = (
    *(_replace_value, _replace_value, _replace_value),
    *(_double, _cut_out, _scribble, _splice),
)


def _spoiled_bytes(rng: random.Random, frame: bytes) -> bytes:
    body = bytearray(frame)
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(body) + 1)
        match rng.randrange(4):
            case 0 if place < len(body):
                body[place] ^= 1 << rng.randrange(8)
            case 1:
                body[place:place] = rng.randbytes(rng.randrange(1, 9))
            case 2:
                del body[place : place + rng.randrange(1, 9)]
            case _:
                body += body[place:]
    return bytes(body[:200_000])
