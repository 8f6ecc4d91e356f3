"""Spans of seconds in words, and what to do where the store has none: for the messages of every command."""

from __future__ import annotations

import datetime as dt

HOW_TO_FILL = (
    "get some with `squeezeflow simulate --hours 48` (a simulated market), `squeezeflow import` (files) or "
    "`squeezeflow collect` (the exchanges, from now on)"
)


def shown(second: int) -> str:
    """A second as text, in UTC.

    >>> shown(1754697600)
    '2025-08-09 00:00:00 UTC'
    """
    return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def shown_span(start: int | None, stop: int | None) -> str:
    """The span ``[start, stop)`` as text, with its last second; an end that is None is open.

    >>> shown_span(1754697600, 1754784000)
    'from 2025-08-09 00:00:00 UTC to 2025-08-09 23:59:59 UTC'
    """
    first = "from its beginning" if start is None else f"from {shown(start)}"
    return f"{first} to {'its end' if stop is None else shown(stop - 1)}"
