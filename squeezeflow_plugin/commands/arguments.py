"""Types of arguments; what cannot be read is said as argparse says it."""

from __future__ import annotations

import argparse
import datetime as dt
import math
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - it has no public name
"""What ``add_subparsers`` gives."""


def timerange(text: str) -> tuple[int, int]:
    """Epoch seconds or dates (YYYYMMDD, UTC), joined by a dash; an open end takes everything.

    >>> timerange("20260101-20260102")
    (1767225600, 1767312000)
    >>> timerange("1767225600-")
    (1767225600, 9223372036)
    """
    start, dash, stop = text.partition("-")
    if not dash:
        raise argparse.ArgumentTypeError(f"must be START-STOP, was {text!r}")
    return _instant(start, 0), _instant(stop, 2**63 // 10**9)


def _instant(text: str, otherwise: int) -> int:
    if not text:
        return otherwise
    try:
        if len(text) == 8:
            return int(dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC).timestamp())
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be epoch seconds or YYYYMMDD, was {text!r}") from error


def moment(text: str) -> int:
    """An epoch second, or a date and time in ISO's form; UTC where it names no zone.

    >>> moment("2023-11-14T22:13:20"), moment("1700000000")
    (1700000000, 1700000000)
    """
    if text.isdecimal() and len(text) > 8:
        return int(text)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be epoch seconds or a time such as 2023-11-14T22:13:20, was {text!r}"
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp())


def assets(text: str) -> tuple[str, ...]:
    """Base assets, separated by commas, or how many of the most traded ones.

    >>> assets("BTC,DOGE"), assets("2")
    (('BTC', 'DOGE'), ('BTC', 'ETH'))
    """
    from squeezeflow_plugin.simulator.profiles import LISTED_ASSETS

    if not text.isdecimal():
        return tuple(name.strip() for name in text.split(",") if name.strip())
    if not 1 <= int(text) <= len(LISTED_ASSETS):
        raise argparse.ArgumentTypeError(f"must be in 1..{len(LISTED_ASSETS)} or names, was {text}")
    return LISTED_ASSETS[: int(text)]


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, was {value}")
    return value


def port(text: str) -> int:
    """A port; 0 takes a free one."""
    value = _whole(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError(f"must be in 0..65535, was {value}")
    return value


def rate(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, was {text!r}")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a whole number, was {text!r}") from error
