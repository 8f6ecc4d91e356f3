"""Protocol Buffers on the wire, as far as reading needs it: numbered fields, no schema.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_VARINT_BYTES = 10
FIXED_BYTES = {1: 8, 5: 4}
VARINT, LENGTH_DELIMITED = 0, 2


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values in the order they stand: integers as they are, all others as bytes.

    Integers are unsigned. Raises ValueError, after what could be read, where the message is cut or is none.

    >>> list(fields(bytes.fromhex("089601120774657374696e67")))
    [(1, 150), (2, b'testing')]
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if not number:
            raise ValueError("a field has the number 0")
        if kind == VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == LENGTH_DELIMITED:
            length, position = _varint(message, position)
        elif kind in FIXED_BYTES:
            length = FIXED_BYTES[kind]
        else:
            raise ValueError(f"field {number} is of wire type {kind}, which is none or no longer used")
        if length > len(message) - position:
            raise ValueError(f"field {number} is cut: {length} bytes long, {len(message) - position} left")
        yield number, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte, least first, and the position behind it.

    >>> _varint(bytes.fromhex("9601"), 0)
    (150, 2)
    """
    value = 0
    for index, byte in enumerate(message[position : position + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError(f"an integer at byte {position} does not end")
