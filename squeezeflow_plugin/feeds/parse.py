"""Recorded frames to trades, offline: ``squeezeflow parse``.

A recording is a file of lines, plain or gzipped (its content says which). A line is a row - a JSON object
that holds ``raw`` (the frame as text, or as the document it is) or ``raw_b64`` (binary frame, base64) and,
where it is known, ``recv_ns`` or ``recv_ts`` (seconds) - or the frame itself, with or without the local time
before it (``1767225600.123: {...}``, ``2026-01-01T00:00:00Z {...}``). A file that is one document over
several lines is one frame. A last line that its recorder did not finish is a frame that cannot be read.

The file is read twice: the first pass finds the markets whose single trades are recorded, so that the second
can leave out the exchange's aggregates of the same trades wherever in the file they stand.
"""

from __future__ import annotations

import base64
import gzip
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO, cast

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError, FrameError
from squeezeflow_plugin.feeds.adapter import FrameParser, Parsed
from squeezeflow_plugin.feeds.registry import adapter
from squeezeflow_plugin.feeds.session import EPOCH, NS_PER_US
from squeezeflow_plugin.market import NS_PER_SECOND, Side, Trade

_NOTHING = msgspec.Raw(b"")
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TIMED = re.compile(
    rb"(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?)):?\s+(?=[{\[])"
)
"""A local time before a frame."""
_WORDS = frozenset({b"ping", b"pong"})
"""Frames that are no document."""
_OPTION = re.compile(r"-\d+-[CP](?:-USD[TC])?$")
"""The end of an option's market: what is paid for one is no price of its underlying."""
_UNITS_NS = ((1e17, 1), (1e14, 1_000), (1e11, 1_000_000), (0.0, NS_PER_SECOND))
"""From which number on a time since the epoch is in which unit, in nanoseconds; times are of this century."""


class Row(msgspec.Struct, frozen=True):
    """One line of a recording; other columns are not looked at."""

    raw: msgspec.Raw = _NOTHING
    raw_b64: str | None = None
    recv_ns: int | None = None
    recv_ts: float | None = None

    @property
    def frame(self) -> str | bytes:
        """The frame as it came; ValueError where there is none."""
        match bytes(self.raw)[:1]:
            case b'"':
                return msgspec.json.decode(self.raw, type=str)
            case b"{" | b"[":
                return bytes(self.raw)
            case b"" | b"n":
                if self.raw_b64 is None:
                    raise ValueError("has neither raw nor raw_b64")
                return base64.b64decode(self.raw_b64, validate=True)
        raise ValueError(f"raw must be a text or a document, was {bytes(self.raw)[:40]!r}")

    @property
    def received_ns(self) -> int:
        """Local receive time, 0 where it was not recorded."""
        if self.recv_ns is not None:
            return self.recv_ns
        return round(self.recv_ts * NS_PER_SECOND) if self.recv_ts is not None else 0


class Frame(NamedTuple):
    """A recorded frame and its local receive time, 0 where it was not recorded."""

    frame: str | bytes
    received_ns: int


class TradeLine(msgspec.Struct, frozen=True):
    """One line of the output; ``line`` is the frame's, counted from 0."""

    line: int
    market: str
    exchange_ns: int
    trade_id: str
    price: float
    size: float
    quote: float
    side: str
    count: int
    liquidation: bool


class Summary(msgspec.Struct):
    """What became of the frames; ``left_out`` by reason, ``other`` by kind of frame."""

    frames: int = 0
    trades: int = 0
    rejected: int = 0
    left_out: Counter[str] = msgspec.field(default_factory=Counter)
    other: Counter[str] = msgspec.field(default_factory=Counter)

    def __str__(self) -> str:
        details = [f"{n} left out ({reason})" for reason, n in sorted(self.left_out.items())]
        details += [f"{n} other ({kind})" for kind, n in sorted(self.other.items())]
        return ", ".join([f"{self.frames} frames: {self.trades} trades, {self.rejected} rejected", *details])


class Reading(NamedTuple):
    """A frame's line number and what it said, or why it cannot be read."""

    line: int
    parsed: Parsed | FeedProtocolError


_row = msgspec.json.Decoder(Row, strict=False).decode
_encode = msgspec.json.Encoder().encode


def parse_file(exchange: str, path: Path | str, out: TextIO, err: TextIO | None = None) -> Summary:
    """Write the trades of a recording to ``out``, rejections (one a line) and a summary to ``err`` (stderr).

    Raises SettingsError for an unknown exchange, and FrameError naming file and line where the file is
    not a recording; nothing is written then.
    """
    err = err or sys.stderr
    path = Path(path)
    exchange_adapter = adapter(exchange)
    single = _singly_recorded(path, exchange_adapter.session())
    summary = Summary()
    for line, parsed in _read(path, exchange_adapter.session()):
        summary.frames += 1
        if isinstance(parsed, FeedProtocolError):
            _report(err, summary, path, line, str(parsed))
            continue
        for reason in (*parsed.rejected, *(refusal.reason for refusal in parsed.refused)):
            _report(err, summary, path, line, reason)
        counted = [aggregate for aggregate in parsed.aggregates if aggregate.market not in single]
        trades = [trade for trade in (*parsed.trades, *counted) if not _OPTION.search(trade.market)]
        out.writelines(_line(line, trade) for trade in trades)
        summary.trades += len(trades)
        if options := len(parsed.trades) + len(counted) - len(trades):
            summary.left_out["option"] += options
        if beside := len(parsed.aggregates) - len(counted):
            summary.left_out["aggregate beside the market's trades"] += beside
        if parsed.replayed:
            summary.left_out["replayed at the subscription"] += len(parsed.replayed)
        summary.left_out.update(item.reason for item in parsed.left_out)
        if parsed.other:
            summary.other[parsed.other] += 1
    err.write(f"{path}: {summary}\n")
    return summary


def _singly_recorded(path: Path, session: FrameParser) -> set[str]:
    """The markets whose single trades are in the recording."""
    markets: set[str] = set()
    for _, parsed in _read(path, session):
        if isinstance(parsed, Parsed):
            markets.update(trade.market for trade in parsed.trades if not trade.liquidation)
            markets.update(item.market for item in parsed.left_out)
    return markets


def _report(err: TextIO, summary: Summary, path: Path, line: int, reason: str) -> None:
    summary.rejected += 1
    err.write(f"{path}:{line}: {reason}\n")


def _line(line: int, trade: Trade) -> str:
    row = TradeLine(
        line,
        trade.market,
        trade.exchange_ns,
        trade.trade_id,
        trade.price,
        trade.size,
        trade.quote,
        "buy" if trade.side == Side.BUY else "sell",
        trade.count,
        trade.liquidation,
    )
    return _encode(row).decode() + "\n"


def _read(path: Path, session: FrameParser) -> Iterator[Reading]:
    for line, (frame, received_ns) in _rows(path):
        try:
            yield Reading(line, session.parse(frame, received_ns))
        except FeedProtocolError as error:
            yield Reading(line, error)


def _rows(path: Path) -> Iterator[tuple[int, Frame]]:
    """Lines of the file from 0, empty ones passed over; FrameError names file and line."""
    line = 0
    try:
        with _opened(path) as file:
            for raw in _lines(file):
                if text := raw.strip():
                    yield line, _frame(text, is_whole=not line or raw.endswith(b"\n"))
                line += 1  # by hand, because what fails may be the reading of the next line
    except (OSError, EOFError, zlib.error) as error:
        raise FrameError(f"{path}:{line}: the file cannot be read: {error}; nothing more is read") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameError(f"{path}:{line}: no row of a recording: {error}; nothing more is read") from error


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
    return cast(BinaryIO, gzip.open(path)) if is_packed else path.open("rb")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines; all of it as one where it is a document whose first line only opens it."""
    first = file.readline().removeprefix(_BYTE_ORDER_MARK)
    if first.strip() in {b"{", b"["}:
        yield first + file.read()
        return
    yield first
    yield from file


def _frame(text: bytes, *, is_whole: bool = True) -> Frame:
    """What a line holds; ValueError where it is neither a row nor a frame, if it ``is_whole``.

    >>> _frame(b'{"raw":"[1]","recv_ts":2}'), _frame(b'1767225600.5: {"e":1}')
    (Frame(frame='[1]', received_ns=2000000000), Frame(frame=b'{"e":1}', received_ns=1767225600500000000))
    """
    try:
        return _read_frame(text)
    except ValueError:  # of which msgspec's errors are some
        if is_whole:
            raise
        return Frame(text, 0)


def _read_frame(text: bytes) -> Frame:
    if text in _WORDS:
        return Frame(text, 0)
    if b'"raw' in text and text.startswith(b"{"):
        row = _row(text)
        if row.raw or row.raw_b64 is not None:
            return Frame(row.frame, row.received_ns)
    timed = _TIMED.match(text)
    frame = text[timed.end() :] if timed else text
    if not frame.startswith((b"{", b"[")):
        raise ValueError(f"neither a row nor a frame, was {frame[:40]!r}")
    msgspec.json.decode(frame)
    return Frame(frame, _received_ns(timed))


def _received_ns(timed: re.Match[bytes] | None) -> int:
    """The local time before a frame, 0 where there is none."""
    if timed is None:
        return 0
    if timed["text"]:
        moment = datetime.fromisoformat(timed["text"].decode())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round((moment - EPOCH) / timedelta(microseconds=1)) * NS_PER_US
    whole, _, part = timed["number"].decode().partition(".")
    unit_ns = next(unit_ns for start, unit_ns in _UNITS_NS if int(whole) >= start)
    return int(whole) * unit_ns + round(float(f"0.{part or 0}") * unit_ns)
