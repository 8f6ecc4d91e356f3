"""Why nothing may be entered just now, beside what the method says of a second.

The method judges the feeds over windows of five minutes and more, so a feed that has just been lost would be
noticed after some seconds only. An entry therefore also needs that its own second was covered. What is no
property of the data - no second in time, a store that cannot be read, a clock that is off - holds for every
pair alike.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from squeezeflow_plugin.features.flow import FlowRow
from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.phases.entries import lost_feed
from squeezeflow_plugin.store.botstatus import veto_label

log = logging.getLogger(__name__)
REPEAT_S = 60
"""A reason that came and went is named again in the log after so many seconds at the earliest."""


def pair_veto(decision: Decision, row: FlowRow, min_coverage: float) -> str:
    """The first reason why this second may not be entered on, empty where there is none."""
    return decision.veto or lost_feed(row.coverage_spot, row.coverage_perp, min_coverage)


class RefusalLog:
    """Names why an entry was refused once for each entry and kind of reason, however often it is asked."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, str]] = {}  # by pair: the entry and the reason named last

    def note(self, pair: str, tag: str, reason: str) -> None:
        """``tag`` of the entry of a pair was refused; nothing where ``reason`` is empty."""
        kind = veto_label(reason)
        if reason and self._told.get(pair) != (tag, kind):
            self._told[pair] = tag, kind
            log.warning("%s: the entry %s is refused: %s", pair, tag, reason)


class VetoLog:
    """Names each pair's reason in the log when it begins and when it is over, not each second."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}  # the kind of reason that the log last gave for a pair, none if over
        self._named: dict[tuple[str, str], int] = {}

    def note(self, second: int, vetoes: Mapping[str, str]) -> None:
        """The reasons of every pair at ``second``, empty where it may be entered."""
        begun: dict[str, list[str]] = {}
        ended = []
        for pair, reason in vetoes.items():
            kind = veto_label(reason)
            if kind == self._told.get(pair, ""):
                continue
            if not reason:
                del self._told[pair]
                ended.append(pair)
            elif second - self._named.get((pair, kind), -REPEAT_S) >= REPEAT_S:
                self._told[pair] = kind
                self._named[pair, kind] = second
                begun.setdefault(reason, []).append(pair)
        for reason, pairs in begun.items():
            log.warning("%s: no entries from second %d on: %s", ", ".join(pairs), second, reason)
        if ended:
            log.info("%s: entries are allowed again from second %d on", ", ".join(ended), second)

    def forget(self, pairs: Iterable[str]) -> None:
        """Pairs that are not scored any more."""
        for pair in pairs:
            self._told.pop(pair, None)
