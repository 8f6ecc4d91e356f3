"""One journal file: frames of trades, each with its own checksum, found again after damage.

A frame is a header - magic ``SFJ1``, payload length (u32), newest trade second (i64), newest
receive second (i64), CRC-32 of those three and the payload (u32), little-endian - and a payload,
the MessagePack array of its trades or a block of them in columns (``packing``). A frame without a
payload is a mark: its newest trade second is one that was closed then, with what the frames before it
hold. A frame that does not hold is passed over up to the next place where the magic starts a frame that
does, so damage costs only what it hit.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

import msgspec

from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.journal.packing import MARK, pack, unpack
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

MAGIC = b"SFJ1"
_HEADER = struct.Struct("<4sIqqI")
_CHECKED = struct.Struct("<Iqq")
HEADER_BYTES = _HEADER.size
# A length beyond this is damage, not a frame: appends are fractions of a second of trades.
MAX_PAYLOAD_BYTES = 1 << 28

_BLOCK = bytes([MARK])
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(list[Trade]).decode


class Frame(msgspec.Struct, frozen=True):
    """An intact frame: where it starts and ends, the newest second of its trades and of their receipt."""

    start: int
    stop: int
    newest_second: int
    newest_received: int

    @property
    def is_mark(self) -> bool:
        """Whether it says that ``newest_second`` is closed, and holds no trades."""
        return self.stop - self.start == HEADER_BYTES


class Damage(msgspec.Struct, frozen=True):
    """Bytes that hold no intact frame. ``torn`` is an append that was cut short at the file's end."""

    start: int
    stop: int
    torn: bool


def received_second(trade: Trade) -> int:
    """The local second of receipt; the trade's own second where the receipt is unknown."""
    return (trade.received_ns or trade.exchange_ns) // NS_PER_SECOND


def encode_frame(trades: Sequence[Trade]) -> bytes:
    """The bytes of one frame with these trades, at least one.

    >>> trade = Trade("X:a", 7_000_000_000, "1", 2.0, 1.0, 2.0, 1)
    >>> data = encode_frame([trade])
    >>> [decode_frame(data, frame) == [trade] for frame in scan(data)]
    [True]
    """
    newest = max(trade.exchange_ns for trade in trades) // NS_PER_SECOND
    return _frame(_ENCODE(list(trades)), newest, max(map(received_second, trades)))


def encode_block(block: TradeBlock) -> bytes:
    """The bytes of one frame with the block's trades, the same as ``encode_frame``'s once decoded."""
    payload, received_ns = pack(block)
    return _frame(payload, block.last, received_ns // NS_PER_SECOND)


def encode_mark(second: int) -> bytes:
    """The bytes of a mark: that second is closed.

    >>> [(frame.is_mark, frame.newest_second) for frame in scan(encode_mark(7))]
    [(True, 7)]
    """
    return _frame(b"", second, second)


def _frame(payload: bytes, newest: int, received: int) -> bytes:
    checked = _CHECKED.pack(len(payload), newest, received)
    crc = zlib.crc32(payload, zlib.crc32(checked))
    return _HEADER.pack(MAGIC, len(payload), newest, received, crc) + payload


def decode_frame(data: bytes, frame: Frame) -> list[Trade] | None:
    """The trades of an intact frame; None where the payload is whole but holds no trades as known here."""
    payload = memoryview(data)[frame.start + HEADER_BYTES : frame.stop]
    try:
        return unpack(payload) if payload[:1] == _BLOCK else _DECODE(payload)
    except (msgspec.MsgspecError, ValueError):  # ValueError: no block
        return None


def scan(data: bytes) -> Iterator[Frame | Damage]:
    """The file's frames and damages, in order; together they cover every byte."""
    at = 0
    while at < len(data):
        frame = _frame_at(data, at)
        if frame is not None:
            yield frame
            at = frame.stop
            continue
        following = _next_frame(data, at + 1)
        stop = len(data) if following is None else following.start
        yield Damage(at, stop, torn=following is None and _is_torn(data, at))
        at = stop


def _frame_at(data: bytes, at: int) -> Frame | None:
    if len(data) - at < HEADER_BYTES or not data.startswith(MAGIC, at):
        return None
    _, length, newest, received, crc = _HEADER.unpack_from(data, at)
    start = at + HEADER_BYTES
    if length > MAX_PAYLOAD_BYTES or start + length > len(data):
        return None
    checked = zlib.crc32(_CHECKED.pack(length, newest, received))
    if zlib.crc32(memoryview(data)[start : start + length], checked) != crc:
        return None
    return Frame(at, start + length, newest, received)


def _next_frame(data: bytes, start: int) -> Frame | None:
    at = data.find(MAGIC, start)
    while at >= 0:
        frame = _frame_at(data, at)
        if frame is not None:
            return frame
        at = data.find(MAGIC, at + 1)
    return None


def _is_torn(data: bytes, at: int) -> bool:
    """Whether the bytes from there to the end are the beginning of a frame."""
    left = len(data) - at
    if left < HEADER_BYTES:
        return data.startswith(MAGIC[: min(left, len(MAGIC))], at)
    if not data.startswith(MAGIC, at):
        return False
    length: int = _HEADER.unpack_from(data, at)[1]
    return length <= MAX_PAYLOAD_BYTES and at + HEADER_BYTES + length > len(data)
