"""Received trades on disk before anything else is made of them, for recovery after a crash.

A directory of append-only segments (``trades-<number>.sfj``, see ``segment``), a new one every five
minutes, at a size, and at every start: what an earlier process wrote is never written to again,
but for an append that was cut short at the very end, which is cut off. When ``append`` returns, the
operating system has the trades: a killed process loses none of them. ``sync`` puts them on the disk.
``mark`` says between them which second is closed, so that a restart can tell what the last stored record
speaks of from what came after it, whatever any clock said.

One process at a time: the directory is locked.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import msgspec

from squeezeflow_plugin.errors import JournalCorruptError, JournalError
from squeezeflow_plugin.feeds.blocks import TIME, TradeBlock
from squeezeflow_plugin.journal.segment import (
    Damage,
    Frame,
    decode_frame,
    encode_block,
    encode_frame,
    encode_mark,
    received_second,
    scan,
)
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

_PREFIX, _SUFFIX = "trades-", ".sfj"
_Place = tuple[int, int]
"""Segment number and byte."""
_BEGINNING, _END = (0, 0), (1 << 62, 0)


class SegmentDamage(msgspec.Struct, frozen=True):
    """Bytes ``[start, stop)`` of a segment that hold no intact trades; the rest of it was kept."""

    segment: str
    start: int
    stop: int

    def __str__(self) -> str:
        return (
            f"{self.segment}: bytes {self.start} to {self.stop} are damaged; the frames around them are kept"
        )


class TradeJournal:
    """See the module's text.

    Raises JournalError where the directory cannot be used or another process has it.
    """

    def __init__(self, directory: Path | str, *, segment_s: int = 300, segment_bytes: int = 32 << 20) -> None:
        self.directory = Path(directory)
        self._segment_s = segment_s
        self._segment_bytes = segment_bytes
        self._fd: int | None = None
        self._unsynced: list[int] = []
        """Ended segments, and the directory with a new one's name in it, that no sync has seen yet."""
        self._path: Path | None = None
        self._size = 0
        self._began_second = 0
        self._received: dict[Path, int] = {}
        """Newest receive second of the segments seen whole."""
        self._damages: dict[tuple[str, int], SegmentDamage] = {}
        self.torn_bytes = 0
        """Bytes of an unfinished append that were cut off at the start."""
        self._lock_fd = self._lock()
        try:
            segments = self.segments()
            self._next_number = self._first_number = _number(segments[-1]) + 1 if segments else 1
            if segments:
                self._cut_torn_tail(segments[-1])
        except BaseException:
            os.close(self._lock_fd)
            raise

    def __enter__(self) -> TradeJournal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def damages(self) -> tuple[SegmentDamage, ...]:
        """Every damage met by ``replay`` and ``prune`` so far, to be named to the operator."""
        return tuple(self._damages.values())

    def segments(self) -> tuple[Path, ...]:
        """The segments, oldest first."""
        return tuple(sorted(self.directory.glob(f"{_PREFIX}*{_SUFFIX}"), key=_number))

    def append(self, trades: Sequence[Trade]) -> None:
        """Hand the trades to the operating system. All or none: JournalError where it takes them not."""
        if trades:
            self._write(encode_frame(trades), received_second(trades[-1]), f"{len(trades)} trades")

    def append_block(self, block: TradeBlock) -> None:
        """The same for trades that are columns; ``replay`` gives values of them."""
        second = (block.received_ns or int(block.ints[-1, TIME])) // NS_PER_SECOND
        self._write(encode_block(block), second, f"{len(block.ints)} trades")

    def mark(self, second: int) -> None:
        """Say that the second is closed, with what was appended before. JournalError as ``append``."""
        self._write(encode_mark(second), second if self._fd is None else self._began_second, "a mark")

    def sync(self) -> None:
        """Return when everything appended is on the disk. Raises JournalError."""
        self.syncing()()

    def syncing(self) -> Callable[[], None]:
        """``sync`` of what is appended by now, to be called once.

        In a thread, if need be: a disk may take long, and appends go on meanwhile.
        """
        open_now = [] if self._fd is None else [os.dup(self._fd)]
        fds, self._unsynced = [*self._unsynced, *open_now], []
        return partial(_sync, fds, str(self._path))

    def replay(self, from_second: int, *, strict: bool = False) -> Iterator[Trade]:
        """Every intact trade of ``from_second`` or later, in the order of receipt.

        Damage is passed over and added to ``damages``; with ``strict`` JournalCorruptError names it after
        the last trade. Raises JournalError where a segment cannot be read.
        """
        yield from self._replay(from_second, _BEGINNING, _END)
        if strict and self._damages:
            raise JournalCorruptError("; ".join(map(str, self.damages)))

    def split(self, from_second: int, closed: int) -> tuple[Iterator[Trade], Iterator[Trade]]:
        """``replay`` in two: what was appended before the second ``closed`` was closed, and what came after.

        Where no mark says when that was, an earlier second's mark counts; without any, all came after.
        """
        place = self._marked(closed)
        return self._replay(from_second, _BEGINNING, place), self._replay(from_second, place, _END)

    def prune(self, before_second: int) -> int:
        """Delete the segments whose every trade was received before that local second; how many went.

        An earlier process's clock may have been ahead, and its segments seem to be of times to come: they go
        with the first one of this process, which is younger than they are, whatever they say.
        """
        closed = [segment for segment in self.segments() if segment != self._path]
        count = 0
        for at, segment in enumerate(closed):
            newest = self._newest_received(segment)
            is_own = _number(segment) >= self._first_number
            if newest < before_second and (at == count or (is_own and newest >= 0)):
                count = at + 1
            elif is_own and newest >= before_second:
                break
        for segment in closed[:count]:
            try:
                segment.unlink()
            except OSError as error:
                raise JournalError(f"{segment}: cannot delete: {error.strerror}") from error
            self._received.pop(segment, None)
        return count

    def close(self) -> None:
        """Sync and let go of the directory; a second call does nothing."""
        if self._lock_fd < 0:
            return
        try:
            self.sync()
        finally:
            for fd in [*self._unsynced, *([] if self._fd is None else [self._fd])]:
                os.close(fd)
            self._unsynced, self._fd = [], None
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _replay(self, from_second: int, start: _Place, stop: _Place) -> Iterator[Trade]:
        for segment in self.segments():
            number = _number(segment)
            if not start[0] <= number <= stop[0]:
                continue
            data = _read(segment)
            for part in scan(data):
                if not start <= (number, part.start) < stop:
                    continue
                trades = self._trades(segment, data, part) if _may_have(part, from_second) else ()
                yield from (trade for trade in trades if trade.second >= from_second)

    def _trades(self, segment: Path, data: bytes, part: Frame | Damage) -> Sequence[Trade]:
        trades = decode_frame(data, part) if isinstance(part, Frame) else None
        if trades is None:
            self._note(segment, part.start, part.stop)
            return ()
        return trades

    def _marked(self, closed: int) -> _Place:
        """The place of the newest mark of a second up to ``closed``."""
        for segment in reversed(self.segments()):
            marks = [part for part in scan(_read(segment)) if isinstance(part, Frame) and part.is_mark]
            for mark in reversed(marks):
                if mark.newest_second <= closed:
                    return _number(segment), mark.start
        return _BEGINNING

    def _write(self, frame: bytes, second: int, what: str) -> None:
        if self._fd is None or self._is_full(second):
            self._begin_segment(second)
        assert self._fd is not None  # noqa: S101  # begun just above; narrows the type
        try:
            left = memoryview(frame)
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            self._take_back()
            raise JournalError(
                f"{self._path}: cannot append {what}: {error.strerror}; it is not kept"
            ) from error
        self._size += len(frame)

    def _lock(self) -> int:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"{self.directory}: cannot keep a journal there: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise JournalError(f"{self.directory}: another process keeps its journal there") from error
        return fd

    def _cut_torn_tail(self, segment: Path) -> None:
        data = _read(segment)
        for part in scan(data):
            if isinstance(part, Damage) and part.torn:
                try:
                    os.truncate(segment, part.start)
                except OSError as error:
                    raise JournalError(
                        f"{segment}: cannot cut off an unfinished append: {error.strerror}"
                    ) from error
                self.torn_bytes = part.stop - part.start

    def _is_full(self, second: int) -> bool:
        return self._size >= self._segment_bytes or second - self._began_second >= self._segment_s

    def _begin_segment(self, second: int) -> None:
        if self._fd is not None:
            self._unsynced.append(self._fd)
            self._fd = None
        self._path = self.directory / f"{_PREFIX}{self._next_number:010d}{_SUFFIX}"
        self._next_number += 1
        self._size = 0
        self._began_second = second
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o644)
            self._unsynced.append(os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise JournalError(f"{self._path}: cannot begin a segment: {error.strerror}") from error

    def _take_back(self) -> None:
        """Cut off what a failed append left; where even that fails, leave the segment to its damage."""
        assert self._fd is not None  # noqa: S101  # called by append only; narrows the type
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            os.close(self._fd)
            self._fd = None

    def _note(self, segment: Path, start: int, stop: int) -> None:
        self._damages[segment.name, start] = SegmentDamage(str(segment), start, stop)

    def _newest_received(self, segment: Path) -> int:
        """A closed segment's newest receive second; below every second where it holds no trade."""
        if segment not in self._received:
            newest = -1
            for part in scan(_read(segment)):
                if isinstance(part, Damage):
                    self._note(segment, part.start, part.stop)
                else:
                    newest = max(newest, part.newest_received)
            self._received[segment] = newest
        return self._received[segment]


def _may_have(part: Frame | Damage, from_second: int) -> bool:
    """Whether there may be trades of that second or later, or something to be named."""
    return isinstance(part, Damage) or (part.newest_second >= from_second and not part.is_mark)


def _number(segment: Path) -> int:
    digits = segment.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    if not digits.isdecimal():
        raise JournalError(f"{segment}: not a segment of this journal; move it away")
    return int(digits)


def _read(segment: Path) -> bytes:
    try:
        return segment.read_bytes()
    except OSError as error:
        raise JournalError(f"{segment}: cannot read: {error.strerror}") from error


def _sync(fds: Sequence[int], path: str) -> None:
    try:
        for fd in fds:
            os.fsync(fd)
    except OSError as error:
        raise JournalError(f"{path}: cannot sync: {error.strerror}") from error
    finally:
        for fd in fds:
            os.close(fd)
