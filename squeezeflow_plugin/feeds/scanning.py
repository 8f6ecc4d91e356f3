"""Compiled reading of frames by templates (``templates``): bytes in, rows of a block (``blocks``) out.

A kernel only loops; ``batches`` prepares and checks. A frame is read whole or not at all. Decimal texts
become the float that is nearest to them, as everywhere else: their digits as an integer below 2**53 and a
power of ten up to 10**22 are both exact as floats, so that the one division rounds correctly (Clinger, "How
to Read Floating Point Numbers Accurately", 1990); here it is at most 10**18. Texts with more digits than
that, with exponents or signs are left to the session.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from squeezeflow_plugin.compiling import UNCOUNTED, compiled, uncounted_part
from squeezeflow_plugin.feeds import blocks as at
from squeezeflow_plugin.feeds import reading
from squeezeflow_plugin.feeds import templates as to
from squeezeflow_plugin.feeds.blocks import FloatArray, IntArray, WordArray
from squeezeflow_plugin.feeds.reading import MAX_AHEAD_NS
from squeezeflow_plugin.feeds.templates import NO_MARKET, BoolArray, ByteArray, Columns, Known

HEAD, ITEM, TAIL, IS_LIST = 0, 2, 4, 6
"""Where a template's parts begin in its row of ``shapes``, and whether it has several items."""
NONE = -1
"""Not as the template says."""
DIGITS = 18
"""So many digits an int64 holds, whichever they are."""
EXACT = 1 << 53
TENS = np.array([float(10**exponent) for exponent in range(DIGITS + 1)])
"""Exact, which NumPy's vectorised powers need not be."""
EARLIEST_MS, STOP_MS = 1_230_768_000_000, 4_102_444_800_000
NS_PER_MS = 1_000_000
ZERO, NINE, COMMA, DOT, QUOTATION, BACKSLASH, DEL, SPACE = b'09,."\\\x7f '


@uncounted_part
def word_end(data: ByteArray, begin: int, stop: int) -> int:
    """Where the text that begins there ends: at a quotation mark. NONE where it is not plain or empty."""
    for place in range(begin, stop):
        byte = data[place]
        if byte == QUOTATION:
            return place if place > begin else NONE
        if byte == BACKSLASH or byte < SPACE or byte >= DEL:
            return NONE
    return NONE


@uncounted_part
def is_word(data: ByteArray, place: int, stop: int, words: ByteArray, begin: int, length: int) -> bool:
    """Whether that word stands there."""
    if place + length > stop:
        return False
    for k in range(length):  # noqa: SIM110  # compiled, a generator costs
        if data[place + k] != words[begin + k]:
            return False
    return True


@uncounted_part
def integer_end(data: ByteArray, begin: int, stop: int) -> int:
    """Where the digits that begin there end; NONE where there are none, too many, or a zero before others."""
    place = begin
    while place < stop and ZERO <= data[place] <= NINE:
        place += 1
    if place == begin or place - begin > DIGITS or (data[begin] == ZERO and place > begin + 1):
        return NONE
    return place


@uncounted_part
def integer(data: ByteArray, begin: int, stop: int) -> np.int64:
    """The number that these digits are."""
    value = np.int64(0)
    for place in range(begin, stop):
        value = value * 10 + (data[place] - ZERO)
    return value


@uncounted_part
def decimal(data: ByteArray, begin: int, stop: int) -> tuple[int, float]:
    """Where a decimal number ends and which it is; NONE where it cannot be read exactly here."""
    end = integer_end(data, begin, stop)
    if end == NONE:
        return NONE, 0.0
    value = np.int64(0)
    for place in range(begin, end):
        value = value * 10 + (data[place] - ZERO)
    scale = 0
    if end < stop and data[end] == DOT:
        begins, zeros = end + 1, 0
        end += 1
        while end < stop and ZERO <= data[end] <= NINE:
            digit = data[end] - ZERO
            if digit == 0:
                zeros += 1  # at the end they say nothing
            else:
                scale += zeros + 1
                if scale > DIGITS:
                    return NONE, 0.0
                for _ in range(zeros + 1):
                    if value >= EXACT:
                        return NONE, 0.0
                    value *= 10
                value += digit
                zeros = 0
            end += 1
        if end == begins:
            return NONE, 0.0
    return (end, value / TENS[scale]) if value < EXACT else (NONE, 0.0)


@uncounted_part
def find_symbol(data: ByteArray, begin: int, end: int, slots: IntArray, names: ByteArray) -> int:
    """The market whose symbol stands there, NO_MARKET for another: open addressing in ``slots``, whose rows
    are market, begin and length of the symbol in ``names``."""
    mask = slots.shape[0] - 1
    place = np.int64(0)
    for k in range(begin, end):
        place = (place * 31 + data[k]) & 0xFFFFFFFF
    place &= mask
    while slots[place, 0] != NO_MARKET:
        if slots[place, 2] == end - begin and is_word(data, begin, end, names, slots[place, 1], end - begin):
            return int(slots[place, 0])
        place = (place + 1) & mask
    return NO_MARKET


@uncounted_part
def keep_id(data: ByteArray, begin: int, end: int, row: int, ints: IntArray, ids: WordArray) -> bool:
    """Put an id into its row; False where there is no room for it."""
    length = end - begin
    if length >= ids.shape[1] * at.WORD:
        return False
    is_number = length <= DIGITS and (data[begin] != ZERO or length == 1)
    number = np.int64(0)
    used = (length + at.WORD - 1) // at.WORD
    for k in range(used):
        word = np.uint64(0)
        first = begin + k * at.WORD
        last = min(first + at.WORD, end)
        for place in range(first, last):
            byte = data[place]
            word = (word << np.uint64(8)) | np.uint64(byte)
            is_number &= ZERO <= byte <= NINE
            number = number * 10 + (byte - ZERO)
        ids[row, k] = word << np.uint64(8 * (first + at.WORD - last))
    for k in range(used, ids.shape[1]):
        ids[row, k] = 0
    ints[row, at.ID_LENGTH] = length
    ints[row, at.NUMBER] = number if is_number else -1
    return True


@uncounted_part
def read_field(  # noqa: PLR0911  # where it ends, or that it does not fit, field by field
    kind: int,
    data: ByteArray,
    place: int,
    stop: int,
    row: int,
    ints: IntArray,
    ids: WordArray,
    slots: IntArray,
    names: ByteArray,
) -> int:
    """Read one field that is no amount into its row; where it ends, NONE where it is not as it should be."""
    if kind == to.SYMBOL or kind == to.TEXT or kind == to.ID:  # noqa: PLR1714  # numbers compare quickest so
        end = word_end(data, place, stop)
        if end == NONE:
            return NONE
        if kind == to.SYMBOL:
            market = find_symbol(data, place, end, slots, names)
            ints[row, at.MARKET] = market
            return end if market != NO_MARKET else NONE
        if kind == to.ID:
            return end if keep_id(data, place, end, row, ints, ids) else NONE
        return end
    end = integer_end(data, place, stop)
    if end == NONE:
        return NONE
    if kind == to.MS:
        ints[row, at.TIME] = integer(data, place, end) * NS_PER_MS if end - place == 13 else 0
    elif kind == to.NUMBER:
        return end if keep_id(data, place, end, row, ints, ids) else NONE
    elif kind == to.COUNT:
        count = integer(data, place, end)
        if not 0 < count < 1 << 31:
            return NONE
        ints[row, at.SIGNED] *= count
    return end


@uncounted_part
def read_steps(
    first: int,
    last: int,
    steps: IntArray,
    words: ByteArray,
    data: ByteArray,
    place: int,
    stop: int,
    row: int,
    ints: IntArray,
    ids: WordArray,
    floats: FloatArray,
    slots: IntArray,
    names: ByteArray,
) -> int:
    """Read what the steps say; where they end, NONE where the bytes are other ones."""
    for step in range(first, last):
        kind = steps[step, 0]
        if kind == to.LITERAL:
            if not is_word(data, place, stop, words, steps[step, 1], steps[step, 2]):
                return NONE
            place += steps[step, 2]
        elif kind == to.PRICE or kind == to.SIZE:  # noqa: PLR1714  # numbers compare quickest so
            place, amount = decimal(data, place, stop)
            floats[row, at.PRICE if kind == to.PRICE else at.SIZE] = amount
        elif kind == to.SIDE or kind == to.BOOL:  # noqa: PLR1714  # numbers compare quickest so
            is_first = is_word(data, place, stop, words, steps[step, 1], steps[step, 2])
            if not is_first and not is_word(data, place, stop, words, steps[step, 3], steps[step, 4]):
                return NONE
            place += steps[step, 2] if is_first else steps[step, 4]
            if kind == to.SIDE:
                ints[row, at.SIGNED] = 1 if is_first else -1
        else:
            place = read_field(kind, data, place, stop, row, ints, ids, slots, names)
        if place == NONE:
            return NONE
    return place


@uncounted_part
def is_countable(
    row: int, ints: IntArray, floats: FloatArray, received_ns: int, sizes: FloatArray, inverse: BoolArray
) -> bool:
    """Give a row its sizes in base and quote; False where the session must say what is wrong with it."""
    market = ints[row, at.MARKET]
    price = floats[row, at.PRICE]
    size = quote = floats[row, at.SIZE] * sizes[market]
    if not (price > 0.0 and size > 0.0):
        return False
    if inverse[market]:
        size /= price
    else:
        quote *= price
    floats[row, at.SIZE] = size
    floats[row, at.QUOTE] = quote
    ints[row, at.RECEIVED] = received_ns
    time = ints[row, at.TIME]
    return (
        size > 0.0
        and 0.0 < quote < np.inf
        and EARLIEST_MS * NS_PER_MS < time < STOP_MS * NS_PER_MS
        and received_ns > 0
        and time - received_ns < MAX_AHEAD_NS
    )


@uncounted_part
def read_frame(
    which: int,
    data: ByteArray,
    begin: int,
    stop: int,
    received_ns: int,
    rows: int,
    steps: IntArray,
    shapes: IntArray,
    words: ByteArray,
    slots: IntArray,
    names: ByteArray,
    sizes: FloatArray,
    inverse: BoolArray,
    ints: IntArray,
    ids: WordArray,
    floats: FloatArray,
) -> int:
    """Read one frame by one template; how many rows there are then, NONE where it is spelled otherwise."""
    place, piece = begin, HEAD
    while rows < ints.shape[0]:
        place = read_steps(
            shapes[which, piece], shapes[which, piece + 1],
            steps, words, data, place, stop, rows, ints, ids, floats, slots, names,
        )  # fmt: skip
        if place == NONE:
            return NONE
        if piece == TAIL:
            return rows if place == stop else NONE
        if piece == ITEM:
            if not is_countable(rows, ints, floats, received_ns, sizes, inverse):
                return NONE
            rows += 1
        if piece == ITEM and shapes[which, IS_LIST] and place < stop and data[place] == COMMA:
            place += 1
        else:
            piece += 2
    return NONE


@uncounted_part
def describe(frame: int, first: int, rows: int, ints: IntArray, piece: IntArray) -> None:
    """Say what lies before this frame: the rows from ``first`` on."""
    earliest, latest, longest = np.int64(STOP_MS * NS_PER_MS), np.int64(0), np.int64(0)
    for row in range(first, rows):
        earliest = min(earliest, ints[row, at.TIME])
        latest = max(latest, ints[row, at.TIME])
        longest = max(longest, ints[row, at.ID_LENGTH])
    piece[0], piece[1], piece[2], piece[3], piece[4] = frame, rows, earliest, latest, longest


def _sources() -> str:
    """A digest of every file that the compiled function is made from (see ``phases/kernels/state.py``)."""
    files = (at.__file__, reading.__file__, to.__file__, __file__)
    return sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


def _compile(sources: str) -> Callable[..., tuple[int, int]]:
    def read_frames(
        data: ByteArray,
        frames: IntArray,
        template: int,
        program: to.Program,
        markets: Known,
        columns: Columns,
        pieces: IntArray,
    ) -> tuple[int, int]:
        """Read every frame that is spelled as a template; how many pieces there are, and the template of the
        last frame that was.

        ``data`` uint8[]: the frames, one after the other; ``frames`` int64[2, n]: how many bytes each has and
        when it came; ``template`` is the one to try first. ``pieces`` int64[n + 1, PIECE_WIDTH] is filled:
        a piece ends at each frame that is spelled otherwise, and with the last one.
        """
        _ = sources
        steps, shapes, words = program
        slots, names, sizes, inverse = markets
        ints, ids, floats = columns
        stop = rows = first = piece = 0
        count = frames.shape[1]
        for frame in range(count + 1):
            found = NONE
            if frame < count:
                begin, stop = stop, stop + frames[0, frame]
                for turn in range(shapes.shape[0]):
                    which = (template + turn) % shapes.shape[0]
                    found = read_frame(
                        which, data, begin, stop, frames[1, frame], rows,
                        steps, shapes, words, slots, names, sizes, inverse, ints, ids, floats,
                    )  # fmt: skip
                    if found != NONE:
                        template = which
                        rows = found
                        break
            if found == NONE:
                describe(frame, first, rows, ints, pieces[piece])
                first = rows
                piece += 1
        return piece, template

    return compiled(read_frames, **UNCOUNTED)


read_frames = _compile(_sources())
