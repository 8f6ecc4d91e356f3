"""What the entries of the two streams look like, for us and for other consumers.

``squeezeflow:bars:<collector>`` - one entry a closed second, id ``<second * 1000>-0``, fields in this order:

========  ==========================================================================================
``v``     format version, ``1``; a reader refuses any other
``r``     the closing record in MessagePack, structs as arrays in the order of their fields:
          [collector, second, closed_ns, bars, revisions, covered, uncovered, repaired,
          tickers], a bar
          [market, second, open, high, low, close, vbuy, vsell, cbuy, csell, lbuy, lsell, revision],
          a repaired interval [market, start, stop, complete], a ticker [market, exchange_ns, interest_base,
          interest_usd, funding_rate]
========  ==========================================================================================

``squeezeflow:decisions`` - one entry a pair and second, ids by the server, at least once:

==========  ========================================================================================
``v``       format version, ``1``
``pair``    FreqTrade's name of the pair
``second``  the epoch second decided; with ``pair`` it says which decision this is
``d``       JSON: pair, second, known (second of the newest closing record it stands on), decided_ns,
            latency_ms, veto (empty where trading was allowed), fingerprint (of the engine), values:
            column name to number, null where it is NaN or infinite
==========  ========================================================================================

Both streams are trimmed to about the last hour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from squeezeflow_plugin.errors import BusGapError
from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.store.decisions import LoggedDecision

VERSION = b"1"
DECISIONS_KEY = "squeezeflow:decisions"
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ClosingRecord)


def bars_key(collector: str) -> str:
    """The collector's stream.

    >>> bars_key("main")
    'squeezeflow:bars:main'
    """
    return f"squeezeflow:bars:{collector}"


def entry_id(second: int) -> str:
    """The id of the second's entry.

    >>> entry_id(1_723_161_600)
    '1723161600000-0'
    """
    return f"{second * 1000}-0"


def second_of(identity: bytes) -> int | None:
    """The second an entry's id stands for; None where it is not one of ours.

    >>> second_of(b"1723161600000-0"), second_of(b"1723161600001-0"), second_of(b"1723161600000-7")
    (1723161600, None, None)
    """
    milliseconds, _, sequence = identity.partition(b"-")
    second, rest = divmod(int(milliseconds), 1000)
    return None if rest or sequence != b"0" else second


def encode(record: ClosingRecord) -> dict[bytes, bytes]:
    """The record as the fields of an entry."""
    return {b"v": VERSION, b"r": _ENCODER.encode(record)}


def decode(collector: str, identity: bytes, fields: Mapping[bytes, bytes]) -> ClosingRecord:
    """The record of an entry. Raises BusGapError for an entry that is not what its id promises.

    >>> decode("main", b"7000-0", encode(ClosingRecord("main", 7, 8_400_000_000))).second
    7
    """
    where = f"bus: entry {identity.decode()} of collector {collector!r}"
    if fields.get(b"v") != VERSION:
        raise BusGapError(
            f"{where} is of format version {fields.get(b'v')!r}, not {VERSION!r}; read the store"
        )
    try:
        record = _DECODER.decode(fields.get(b"r", b""))
    except msgspec.MsgspecError as error:
        raise BusGapError(f"{where} cannot be read: {error}; read the store") from error
    if (record.collector, record.second) != (collector, second_of(identity)):
        raise BusGapError(
            f"{where} holds second {record.second} of collector {record.collector!r}; read the store"
        )
    return record


def encode_decision(row: LoggedDecision, columns: Sequence[str], fingerprint: str) -> dict[bytes, bytes]:
    """One decision as the fields of an entry; ``columns`` name its numbers."""
    body = {
        "pair": row.pair,
        "second": row.second,
        "known": row.known,
        "decided_ns": row.decided_ns,
        "latency_ms": row.latency_ms,
        "veto": row.veto,
        "fingerprint": fingerprint,
        "values": {
            name: value if math.isfinite(value) else None
            for name, value in zip(columns, row.numbers, strict=True)
        },
    }
    return {
        b"v": VERSION,
        b"pair": row.pair.encode(),
        b"second": str(row.second).encode(),
        b"d": msgspec.json.encode(body),
    }
