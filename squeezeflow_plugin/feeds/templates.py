"""How an exchange's ordinary trade frame is spelled, so that compiled code can read it (``scanning``).

A template is the frame's exact text with fields in angle brackets. A frame that differs from every template
of its exchange in a single byte is none of them and is read by the session's ``parse``; so a template needs
to know nothing about errors, other frames or other spellings, only what nearly all frames look like.

``<symbol>``, ``<id>`` and ``<text>`` end at the next quotation mark and hold neither backslashes nor
anything but ASCII; ``<number>`` is an id written as a number, ``<int>`` an integer that says nothing,
``<bool>`` true or false; ``<price>`` and ``<size>`` are decimal numbers; ``<ms>`` milliseconds since the
epoch; ``<buy|sell>`` holds the words for a taker who bought and for one who sold; ``<count>``, after it, is
how many fills it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from squeezeflow_plugin.feeds.blocks import FloatArray, IntArray, WordArray

LITERAL, INT, MS, ID, NUMBER, SYMBOL, PRICE, SIZE, SIDE, COUNT, TEXT, BOOL = range(12)
_FIELDS = {
    "int": INT,
    "ms": MS,
    "id": ID,
    "number": NUMBER,
    "symbol": SYMBOL,
    "price": PRICE,
    "size": SIZE,
    "count": COUNT,
    "text": TEXT,
}
_FIELD = re.compile(r"<([a-z]+|\w+\|\w+)>")
STEP_WIDTH = 5
"""A step: what to read, and for words begin and length, of the other one of two (SIDE, BOOL) as well."""

SHAPE_WIDTH = 7
NO_MARKET = -1
PIECE_WIDTH = 5
"""A piece of a batch: the frame behind it, how many rows there are up to there, its earliest and its latest
time, and the characters of its longest id."""
ByteArray = np.ndarray[tuple[int], np.dtype[np.uint8]]
BoolArray = np.ndarray[tuple[int], np.dtype[np.bool_]]


class Columns(NamedTuple):
    """Rows of a block to be filled."""

    ints: IntArray
    ids: WordArray
    floats: FloatArray


class Known(NamedTuple):
    """Markets by symbol: ``slots`` int64[2**k, 3] is a table with open addressing of market, begin and length
    of its symbol in ``names``; ``sizes`` and ``inverse`` say what each market's sizes mean."""

    slots: IntArray
    names: ByteArray
    sizes: FloatArray
    inverse: BoolArray


class Template(NamedTuple):
    """A frame: ``head``, an item, ``tail``; where ``head`` opens a list, items with commas between."""

    head: str
    item: str
    tail: str = ""


class Program(NamedTuple):
    """Templates as ``scanning.read_frames`` takes them.

    ``steps`` int64[n, STEP_WIDTH]; ``shapes`` int64[m, SHAPE_WIDTH]: where head, item and tail of each
    template begin and end in it, and whether items are a list; ``words`` uint8[]: the texts that steps refer
    to.
    """

    steps: IntArray
    shapes: IntArray
    words: np.ndarray[tuple[int], np.dtype[np.uint8]]


def program_of(templates: Sequence[Template]) -> Program:
    """Templates compiled; ValueError for a field that is unknown.

    >>> program_of([Template("", '{"p":<price>}')]).steps[:, 0].tolist() == [LITERAL, PRICE, LITERAL]
    True
    """
    steps: list[tuple[int, ...]] = []
    words = bytearray()
    shapes = []
    for template in templates:
        shape: list[int] = []
        for part in template:
            begin = len(steps)
            steps += _steps(part, words)
            shape += (begin, len(steps))
        shapes.append([*shape, template.head.endswith("[")])
    return Program(
        np.array(steps, np.int64).reshape(-1, STEP_WIDTH),
        np.array(shapes, np.int64).reshape(-1, SHAPE_WIDTH),
        np.frombuffer(bytes(words), np.uint8),
    )


def _steps(text: str, words: bytearray) -> list[tuple[int, ...]]:
    steps: list[tuple[int, ...]] = []
    for position, part in enumerate(_FIELD.split(text)):
        if position % 2 == 0:
            if part:
                steps.append((LITERAL, *_kept(part, words), 0, 0))
        elif "|" in part:
            bought, sold = part.split("|")
            steps.append((SIDE, *_kept(bought, words), *_kept(sold, words)))
        elif part == "bool":
            steps.append((BOOL, *_kept("true", words), *_kept("false", words)))
        elif part in _FIELDS:
            steps.append((_FIELDS[part], 0, 0, 0, 0))
        else:
            raise ValueError(f"<{part}> is no field of a template; fields are bool, {', '.join(_FIELDS)}")
    return steps


def _kept(text: str, words: bytearray) -> tuple[int, int]:
    begin = len(words)
    words += text.encode("ascii")
    return begin, len(text)
