"""What a bot says of itself, each second: a small file that is replaced as a whole.

The decision log is history and holds what was decided. Why nothing may be entered *now*, also when nothing is
decided, stands here.
"""

from __future__ import annotations

import re

import msgspec

from squeezeflow_plugin.timings import Buckets

STATUS_FILE = "bot.json"
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


class OpenPosition(msgspec.Struct, frozen=True):
    """An open trade: direction +1 or -1, its event's second (0: opened by hand), the exit decided, if any."""

    pair: str
    trade_id: int
    direction: int
    event_second: int
    exit: str = ""


class BotStatus(msgspec.Struct, frozen=True):
    """``at_ns`` local time of writing; ``second`` the next one to decide; ``skew_ms`` the clock's lead.

    ``vetoes`` has every scored pair, with the reason why it may not be entered, empty where it may; the
    seconds broken off are counted in ``errors``. Since the bot's start: ``vetoed`` counts by pair and
    ``veto_label`` the writings at which the pair could not be entered; ``deciding`` says how long the
    decisions of a second took, all pairs together.
    """

    at_ns: int
    second: int
    skew_ms: float
    errors: int
    vetoes: dict[str, str]
    positions: tuple[OpenPosition, ...] = ()
    vetoed: dict[str, dict[str, int]] = {}
    deciding: Buckets | None = None


def veto_label(reason: str) -> str:
    """A reason without what differs from one time to the next, so that there are few of them.

    >>> veto_label("hole_spot_5m"), veto_label("the clock is +1204 ms off market time")
    ('hole_spot_5m', 'the clock is N ms off market time')
    >>> veto_label("the last second was not finished: disk full")
    'the last second was not finished'
    """
    head = reason.partition(":")[0]
    return _NUMBER.sub("N", head) if " " in head else head
