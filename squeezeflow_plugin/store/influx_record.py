"""A closing record as one point of ``closings_1s``: all of it but its own bars, which stand in ``trades_1s``.

==============  =======  ==================================================================================
field           type     meaning
==============  =======  ==================================================================================
``closed_ns``   integer  market time of closing
``markets``     string   digest of the sorted list of every market named; the list is in ``market_lists``
``covered``     string   hexadecimal bits: bit i is set where market i of the list was covered
``bars``        string   hexadecimal bits of the markets that have a bar of this second in the record
``checksum``    integer  CRC-32 of these bars (see ``checksum``), so that a reader knows whether it has all of
                         them as they were written
``lag``         integer  seconds back to the oldest revised bar; only where there are revisions
``revised``     string   packed revisions
``repaired``    string   packed repaired intervals
``odd``         string   packed (covered, uncovered, markets of the bars): only where their order is not the
                         sorted one, or a market with a bar is neither covered nor uncovered
``tickers``     string   packed open interest and funding
``kept``        string   packed own bars that ``trades_1s`` does not show (any more), because a later version
                         stands there; written again whenever one more bar is superseded
==============  =======  ==================================================================================

Packed means MessagePack, deflated, in base 64. ``trades_1s`` has one place for each market and second, so it
holds the latest version only; every version of a bar that has more than one is in ``revised`` or ``kept``.
So nothing that was ever known is lost, and what was not revised costs no second copy.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from squeezeflow_plugin.errors import StoreCorruptError, StoreIncompleteError
from squeezeflow_plugin.market import Bar, ClosingRecord, DerivativeTicker, Interval
from squeezeflow_plugin.store.influx_schema import CLOSINGS, tag, text

_ROW = struct.Struct("<8d2Qi")


@dataclass(frozen=True)
class _Naming:
    """The sorted list of every market named, each one's place in it, and the bits of the covered ones.

    ``is_odd``: covered and uncovered are not in the list's order.
    """

    names: tuple[str, ...]
    places: Mapping[str, int]
    covered: str
    is_odd: bool


class _Odd(msgspec.Struct, frozen=True, array_like=True):
    """Names in an order that is not the sorted one."""

    covered: tuple[str, ...]
    uncovered: tuple[str, ...]
    own: tuple[str, ...]


FIELDS = (
    "collector", "closed_ns", "markets", "covered", "bars", "checksum",
    "lag", "revised", "repaired", "odd", "kept", "tickers",
)  # fmt: skip  # in the order of Closing


@dataclass(frozen=True)
class Closing:
    """The point as it is stored; strings are packed."""

    second: int
    collector: str
    closed_ns: int
    markets: str
    covered: str
    bars: str
    checksum: int
    lag: int | None = None
    revised: str | None = None
    repaired: str | None = None
    odd: str | None = None
    kept: str | None = None
    tickers: str | None = None

    def line(self) -> str:
        """The point in line protocol."""
        fields = [
            f"closed_ns={self.closed_ns}i,markets={text(self.markets)},covered={text(self.covered)}",
            f"bars={text(self.bars)},checksum={self.checksum}i",
        ]
        if self.lag is not None:
            fields.append(f"lag={self.lag}i")
        for name in ("revised", "repaired", "odd", "kept", "tickers"):
            value = getattr(self, name)
            if value is not None:
                fields.append(f"{name}={text(value)}")
        return f"{self._series()} {','.join(fields)} {self.second}"

    def kept_line(self) -> str:
        """Only the field that grows later."""
        return f"{self._series()} kept={text(self.kept or '')} {self.second}"

    def says_the_same(self, other: Closing) -> bool:
        """Whether both stand for the same record; what was kept since does not count."""
        return self == (other if self.kept == other.kept else replace(other, kept=self.kept))

    def revisions(self) -> tuple[Bar, ...]:
        bars: tuple[Bar, ...] = self._unpack(self.revised, tuple[Bar, ...])
        return bars

    def kept_bars(self) -> tuple[Bar, ...]:
        bars: tuple[Bar, ...] = self._unpack(self.kept, tuple[Bar, ...])
        return bars

    def repaired_spans(self) -> tuple[Interval, ...]:
        spans: tuple[Interval, ...] = self._unpack(self.repaired, tuple[Interval, ...])
        return spans

    def known_tickers(self) -> tuple[DerivativeTicker, ...]:
        tickers: tuple[DerivativeTicker, ...] = self._unpack(self.tickers, tuple[DerivativeTicker, ...])
        return tickers

    def coverage(self, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Covered and uncovered markets; ``names`` is the list that ``markets`` stands for."""
        if self.odd is not None:
            odd: _Odd = self._unpack(self.odd, _Odd)
            return odd.covered, odd.uncovered
        bits = int(self.covered, 16)
        covered = tuple(name for i, name in enumerate(names) if bits >> i & 1)
        return covered, tuple(name for i, name in enumerate(names) if not bits >> i & 1)

    def own_markets(self, names: Sequence[str]) -> tuple[str, ...]:
        """The markets with a bar of this second, in the record's order."""
        if self.odd is not None:
            odd: _Odd = self._unpack(self.odd, _Odd)
            return odd.own
        bits = int(self.bars, 16)
        return tuple(name for i, name in enumerate(names) if bits >> i & 1)

    def record(self, names: Sequence[str], own: Sequence[Bar]) -> ClosingRecord:
        """The record. Raises StoreIncompleteError where ``own`` is not what it was closed with."""
        if checksum(own) != self.checksum:
            raise StoreIncompleteError(
                f"the {len(own)} bars of collector {self.collector!r}, second {self.second} are not those it"
                " was closed with: some have not arrived, or were lost"
            )
        covered, uncovered = self.coverage(names)
        return ClosingRecord(
            self.collector, self.second, self.closed_ns, tuple(own), self.revisions(),
            covered, uncovered, self.repaired_spans(), self.known_tickers(),
        )  # fmt: skip  # the record's fields in their order

    def _series(self) -> str:
        return f"{CLOSINGS},collector={tag(self.collector)}"

    def _unpack(self, packed: str | None, kind: Any) -> Any:
        """The value of the kind; an empty tuple where the field is absent."""
        return () if packed is None else unpack(packed, kind, f"{self.collector!r}, second {self.second}")


def closing_of(record: ClosingRecord) -> tuple[Closing, tuple[str, ...]]:
    """The point of a record, and the list of markets that its digest stands for.

    >>> closing, names = closing_of(ClosingRecord("main", 7, 8_400_000_000, covered=("A:x", "A:y")))
    >>> names, closing.covered, closing.bars
    (('A:x', 'A:y'), '3', '0')
    >>> closing.record(names, ()).covered
    ('A:x', 'A:y')
    """
    own = tuple(bar.market for bar in record.bars)
    naming = _naming(record.covered, record.uncovered)
    places = [naming.places.get(name, -1) for name in own]
    is_odd = naming.is_odd or -1 in places or places != sorted(places)
    if -1 in places:
        naming = _naming(record.covered, record.uncovered, own)
        places = [naming.places[name] for name in own]
    revised = record.revisions
    closing = Closing(
        second=record.second,
        collector=record.collector,
        closed_ns=record.closed_ns,
        markets=digest(naming.names),
        covered=naming.covered,
        bars=_bits(places),
        checksum=checksum(record.bars),
        lag=max(record.second - bar.second for bar in revised) if revised else None,
        revised=pack(revised) if revised else None,
        repaired=pack(record.repaired) if record.repaired else None,
        tickers=pack(record.tickers) if record.tickers else None,
        odd=pack((record.covered, record.uncovered, own)) if is_odd else None,
    )
    return closing, naming.names


@functools.lru_cache(maxsize=256)  # one second after the other names the same markets
def _naming(covered: tuple[str, ...], uncovered: tuple[str, ...], more: tuple[str, ...] = ()) -> _Naming:
    names = tuple(sorted({*covered, *uncovered, *more}))
    places = {name: place for place, name in enumerate(names)}
    return _Naming(
        names=names,
        places=places,
        covered=_bits(places[name] for name in covered),
        is_odd=any(list(part) != sorted(part) for part in (covered, uncovered)),
    )


@functools.lru_cache(maxsize=256)
def digest(names: tuple[str, ...]) -> str:
    """A short name for a list of markets."""
    return hashlib.blake2b(msgspec.json.encode(names), digest_size=8).hexdigest()


def pack(value: object) -> str:
    """Any of our structs as a string that needs no escaping."""
    return base64.b64encode(zlib.compress(msgspec.msgpack.encode(value))).decode()


def unpack(packed: str, kind: Any, whose: str) -> Any:
    """What ``pack`` has packed. Raises StoreCorruptError, which names whose it is, for anything else."""
    try:
        return msgspec.msgpack.decode(zlib.decompress(base64.b64decode(packed, validate=True)), type=kind)
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise StoreCorruptError(
            f"closing record of {whose} in InfluxDB cannot be unpacked: {error}; it is left as it is"
        ) from error


def checksum(bars: Iterable[Bar]) -> int:
    """CRC-32 over each bar's market and numbers, little-endian, every NaN alike, in the order given."""
    parts: list[bytes] = []
    for bar in bars:
        o, h, low, c = bar.open, bar.high, bar.low, bar.close
        if math.isnan(o + h + low + c):
            o, h, low, c = (math.nan if math.isnan(price) else price for price in (o, h, low, c))
        parts.append(bar.market.encode())
        parts.append(
            _ROW.pack(
                o, h, low, c, bar.vbuy, bar.vsell, bar.lbuy, bar.lsell, bar.cbuy, bar.csell, bar.revision
            )
        )
    return zlib.crc32(b"".join(parts))


def _bits(places: Iterable[int]) -> str:
    return f"{sum(1 << place for place in places):x}"
