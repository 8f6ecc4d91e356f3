"""Batches of frames read at once: blocks of trades, and between them the frames that are read one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import numpy as np

from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, StreamPlan
from squeezeflow_plugin.feeds.blocks import WORD, TradeBlock
from squeezeflow_plugin.feeds.templates import NO_MARKET, PIECE_WIDTH, Columns, Known, Template, program_of
from squeezeflow_plugin.market import NS_PER_SECOND, Instrument, MarketKind

ID_WORDS = 5
"""Room for ids of up to 39 characters: a UUID has 36."""
USUAL_ID_WORDS = 2
LEAST_ITEM = 40
"""Bytes a trade takes on the wire at least, so that there is a row for each, and one to spare."""
LEAST_FRAMES = 12
"""Fewer are read sooner one by one: a block costs what eight to ten parsed trades do."""
WANTED_FRAMES, WANTED_NS = 5000, 10 * NS_PER_SECOND
"""So many that come together with others, within so long, are a load and no hiccup of a quiet machine."""


class BatchReader:
    """Reads what one connection brought.

    ``templates`` are the spellings of the exchange's ordinary trade frames, the usual one first;
    ``instruments`` the markets whose trades are counted. What it takes, the exchange's ``parse`` takes for
    the same trades, to the last bit. Where fewer than ``least`` frames that it could take follow each other,
    it takes none of them.

    >>> from squeezeflow_plugin.feeds.binance_templates import TEMPLATES
    >>> from squeezeflow_plugin.feeds.registry import adapter, classify
    >>> instrument = classify("BINANCE:btcusdt")
    >>> frame = (
    ...     '{"e":"trade","E":1767225600124,"s":"BTCUSDT","t":5000000001,"p":"88123.45000000",'
    ...     '"q":"0.01000000","T":1767225600123,"m":true,"M":true}'
    ... )
    >>> received_ns = 1767225600200000000
    >>> reader = BatchReader(TEMPLATES, [instrument], least=1)
    >>> block, position = reader.read([frame, '{"result":null,"id":1}'], [received_ns] * 2)
    >>> block.trades() == list(adapter("BINANCE").parse(frame, received_ns).trades), position
    (True, 1)
    """

    def __init__(
        self, templates: Sequence[Template], instruments: Sequence[Instrument], *, least: int = LEAST_FRAMES
    ) -> None:
        self._names = tuple(instrument.market for instrument in instruments)
        self._program = program_of(templates)
        self._markets = _known(instruments)
        self._least = least
        self._template = 0
        self._id_words = USUAL_ID_WORDS
        self._columns = _columns(0)
        self._pieces = _pieces(0)

    def read(self, frames: Sequence[str | bytes], received: Sequence[int]) -> Iterator[TradeBlock | int]:
        """Blocks, and the positions of the frames that the session must read, in the frames' order.

        ``received`` are the local receive times in nanoseconds. To be exhausted before it is called again.
        """
        count = len(frames)
        if not self._names or count < self._least:
            yield from range(count)
            return
        begin = rows = 0
        for stop, until, first, last, longest in self._scan(frames, received):
            if stop - begin >= max(self._least, 1):
                yield self._block(rows, until, first, last, longest)
            else:
                yield from range(begin, stop)
            if stop < count:
                yield stop
            begin, rows = stop + 1, until

    def _scan(self, frames: Sequence[str | bytes], received: Sequence[int]) -> list[list[int]]:
        """Fill the columns; the pieces (see ``templates.PIECE_WIDTH``)."""
        from squeezeflow_plugin.feeds.scanning import read_frames  # noqa: PLC0415 - Numba comes with it, which only a busy collector needs

        text, lengths = _joined(frames)
        most = len(text) // LEAST_ITEM + 2
        if most > len(self._columns.ints):
            self._columns = _columns(2 * most)
        if len(frames) >= len(self._pieces):
            self._pieces = _pieces(2 * len(frames))
        count, self._template = read_frames(
            np.frombuffer(text, np.uint8),
            np.array((lengths, received), np.int64),
            self._template,
            self._program,
            self._markets,
            self._columns,
            self._pieces,
        )
        found: list[list[int]] = self._pieces[:count].tolist()
        return found

    def _block(self, begin: int, stop: int, first_ns: int, last_ns: int, longest: int) -> TradeBlock:
        """A block of these rows, which are its own; the columns are filled again by the next batch."""
        ints, ids, floats = self._columns
        # never fewer again, so that a market's blocks are of one width
        self._id_words = max(self._id_words, -(-longest // WORD))
        return TradeBlock(
            self._names,
            ints[begin:stop].copy(),
            ids[begin:stop, : self._id_words].copy(),
            floats[begin:stop].copy(),
            first_ns // NS_PER_SECOND,
            last_ns // NS_PER_SECOND,
        )


class BatchReaders:
    """Gives connections their readers, once the compiled code is loaded; none before that.

    It takes some 120 MB and a moment, after an installation ten seconds, and is of use only where sockets
    bring many frames at once: ``wanted`` is set when ``WANTED_FRAMES`` have come so within ``WANTED_NS``, and
    ``load`` is then for a thread, so that nothing waits for it.
    """

    def __init__(self, least: int = LEAST_FRAMES) -> None:
        self.wanted = asyncio.Event()
        self._least = least
        self._is_loaded = False
        self._missed = 0
        self._missed_since_ns = 0

    def load(self) -> None:
        """Load the compiled code."""
        prepare()
        self._is_loaded = True

    def reader(
        self, adapter: ExchangeAdapter, plan: StreamPlan, frames: int, now_ns: int
    ) -> BatchReader | None:
        """A reader for one connection that follows the plan and brings ``frames`` at once, at that time.

        None where they are read one by one.
        """
        if not (adapter.templates and plan.markets):
            return None
        if self._is_loaded:
            return BatchReader(adapter.templates, plan.instruments, least=self._least)
        if frames >= self._least:
            self._miss(frames, now_ns)
        return None

    def _miss(self, frames: int, now_ns: int) -> None:
        if not 0 <= now_ns - self._missed_since_ns < WANTED_NS:
            self._missed, self._missed_since_ns = 0, now_ns
        self._missed += frames
        if self._missed >= WANTED_FRAMES:
            self.wanted.set()


def prepare() -> None:
    """Load the compiled reader from Numba's cache, or compile it."""
    market = Instrument("X:a", "a", MarketKind.SPOT, "A", "B", "B")
    list(BatchReader([Template("", "<symbol>")], [market], least=1).read(["a"], [0]))


def _joined(frames: Sequence[str | bytes]) -> tuple[bytes, list[int]]:
    """All frames as bytes, and how many each has."""
    try:
        text = "".join(frames).encode("ascii")  # type: ignore[arg-type]  # nearly all frames are of this kind
    except (TypeError, UnicodeEncodeError):
        # a lone surrogate is no template's, so that its frame goes to the session as every strange one
        raw = [each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each for each in frames]
        return b"".join(raw), list(map(len, raw))
    return text, list(map(len, frames))


def _columns(rows: int) -> Columns:
    return Columns(
        np.empty((rows, 6), np.int64), np.empty((rows, ID_WORDS), np.uint64), np.empty((rows, 3), np.float64)
    )


def _pieces(frames: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.empty((frames + 1, PIECE_WIDTH), np.int64)


def _known(instruments: Sequence[Instrument]) -> Known:
    """The symbols as ``scanning.find_symbol`` looks them up."""
    size = 8
    while size < 4 * len(instruments):
        size *= 2
    slots = np.full((size, 3), NO_MARKET, np.int64)
    names = bytearray()
    for market, instrument in enumerate(instruments):
        spelled = instrument.symbol.encode()
        place = 0
        for byte in spelled:
            place = (place * 31 + byte) & 0xFFFFFFFF
        place %= size
        while slots[place, 0] != NO_MARKET:
            place = (place + 1) % size
        slots[place] = market, len(names), len(spelled)
        names += spelled
    return Known(
        slots,
        np.frombuffer(bytes(names) or b" ", np.uint8),
        np.array([each.contract_size for each in instruments], np.float64),
        np.array([each.inverse for each in instruments], np.bool_),
    )
