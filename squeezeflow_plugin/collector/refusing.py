"""Says which trades were not merged, and does not fill a disk with it.

An exchange whose dates are wrong for a day has trades refused in every second of every market: the first of
a market and reason is named at once, what follows within a minute in one line at its end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from squeezeflow_plugin.bars.outcomes import Outcome, Refused
from squeezeflow_plugin.market import NS_PER_SECOND

_LOG = logging.getLogger(__name__)
SAY_AGAIN_NS = 60 * NS_PER_SECOND


class RefusalLog:
    """What is refused, by market and reason: when it may be said again, and what came since it was."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Outcome], tuple[int, Refused | None]] = {}

    def say(self, refused: Iterable[Refused], now_ns: int) -> None:
        """Take in what was refused up to ``now_ns`` and say what is due; to be called at every close."""
        for each in refused:
            key = (each.market, each.outcome)
            due_ns, before = self._held.get(key, (now_ns, None))
            self._held[key] = (due_ns, each if before is None else _both(before, each))
        for key, (due_ns, held) in list(self._held.items()):
            if due_ns > now_ns:
                continue
            if held is None:
                del self._held[key]
                continue
            _name(held)
            self._held[key] = (now_ns + SAY_AGAIN_NS, None)


def _both(before: Refused, after: Refused) -> Refused:
    return msgspec.structs.replace(after, count=before.count + after.count, quote=before.quote + after.quote)


def _name(refused: Refused) -> None:
    _LOG.log(
        # Every new collector meets trades from before its first second; the others are missing.
        logging.DEBUG if refused.outcome is Outcome.EARLIER else logging.WARNING,
        "not merged: %d trades of %s (%s), %.2f in quote currency, the last one %s",
        refused.count,
        refused.market,
        refused.outcome.name.lower().replace("_", " "),
        refused.quote,
        refused.last_id,
    )
