"""Reading what exchanges send, whoever they are: JSON, decimal texts, times - and errors that name the field.

Every function that fails raises FeedProtocolError with exchange, event, field and value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError

INFINITY = float("inf")
SKIPPED = "the frame is skipped"

# Times outside 2009 (no crypto market existed) to 2100 are another unit or rubbish.
Milliseconds = Annotated[int, msgspec.Meta(ge=1_230_768_000_000, lt=4_102_444_800_000)]
Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

MAX_AHEAD_NS = 3_600_000_000_000
"""A trade dated more than an hour after its receipt is a wrong date: clocks differ by seconds."""

number = msgspec.json.Decoder(float).decode
"""A decimal text to the nearest float: the same bits as ``float(text)`` in less than half the time, and only
JSON's grammar, so that ``nan``, ``inf``, ``1_000`` and an empty text raise one of UNREADABLE."""

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding raises: bad JSON or a wrong type, a lone surrogate, thousands of nested brackets."""

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")
_STEP = re.compile(r"[^.\[\]]+")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")


def excerpt(frame: str | bytes, length: int = 120) -> str:
    """The start of a frame for a message.

    >>> excerpt("abcdef", 3)
    "'abc'..."
    """
    return repr(frame) if len(frame) <= length else f"{frame[:length]!r}..."


def json_document(exchange: str, frame: str | bytes) -> Any:
    """The frame as Python's own values.

    >>> json_document("KRAKEN", "[1, []]")
    [1, []]
    """
    try:
        return msgspec.json.decode(frame)
    except UNREADABLE as error:
        raise FeedProtocolError(
            f"{exchange}: frame must be JSON, was {excerpt(frame)}: {error}; {SKIPPED}"
        ) from error


def json_object(exchange: str, frame: str | bytes) -> dict[str, Any]:
    """The frame as a JSON object.

    >>> json_object("BINANCE", '{"id":1}')
    {'id': 1}
    >>> json_object("BINANCE", "[]")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    squeezeflow_plugin.errors.FeedProtocolError: BINANCE: frame must be a JSON object, was '[]'; the frame ...
    """
    document = json_document(exchange, frame)
    if not isinstance(document, dict):
        raise FeedProtocolError(f"{exchange}: frame must be a JSON object, was {excerpt(frame)}; {SKIPPED}")
    return document


def field_error(
    where: str, body: object, error: msgspec.ValidationError, skipped: str = SKIPPED
) -> FeedProtocolError:
    """A FeedProtocolError that names the field and the value msgspec stumbled over.

    ``where`` names exchange and event, ``body`` is what was being converted, ``skipped`` says what happens.

    >>> class Event(msgspec.Struct):
    ...     T: int
    >>> body = {"T": "soon"}
    >>> try:
    ...     msgspec.convert(body, Event)
    ... except msgspec.ValidationError as error:
    ...     print(field_error("BINANCE trade", body, error))
    BINANCE trade: field T was 'soon': Expected `int`, got `str`; the frame is skipped
    """
    text = str(error)
    path = match["path"] if (match := _PATH.search(text)) else ""
    if match := _MISSING.search(text):
        field = f"{path}.{match['field']}" if path else match["field"]
        return FeedProtocolError(f"{where}: field {field} is missing; {skipped}")
    value: Any = body
    for key in _STEP.findall(path):
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}..."
    place = f"field {path} was" if path else "what should be an object was"
    return FeedProtocolError(f"{where}: {place} {shown}: {_PATH.sub('', text)}; {skipped}")


def amount_error(where: str, amounts: Mapping[str, str | float]) -> FeedProtocolError | None:
    """The error of the first amount, text or number, that is not positive, None where all are.

    >>> print(amount_error("BINANCE trade", {"p": "1.5", "q": "-2"}))
    BINANCE trade: field q must be a positive number, was '-2'; the frame is skipped
    """
    for field, told in amounts.items():
        try:
            usable = 0.0 < (number(told) if isinstance(told, str) else told) < INFINITY
        except UNREADABLE:
            usable = False
        if not usable:
            return FeedProtocolError(
                f"{where}: field {field} must be a positive number, was {told!r}; {SKIPPED}"
            )
    return None
