"""What a running bot says of itself, each second: for the health page, metrics and ``squeezeflow status``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from squeezeflow_plugin.jsonfile import replace_json
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus, OpenPosition, veto_label
from squeezeflow_plugin.strategy.trades import OpenTrade
from squeezeflow_plugin.timings import Timings

log = logging.getLogger(__name__)
_DECIDING_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class StatusFile:
    """The file in ``data_dir`` and the counts in it, which begin with the bot."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / STATUS_FILE
        self._deciding = Timings(_DECIDING_S)
        self._vetoed: dict[str, Counter[str]] = {}

    def decided(self, took_ns: int) -> None:
        """The decisions of one second, all pairs together, took so long."""
        self._deciding.note(took_ns / NS_PER_SECOND)

    def tell(
        self,
        now_ns: int,
        second: int,
        skew_ms: float,
        errors: int,
        vetoes: Mapping[str, str],
        positions: Iterable[OpenPosition],
    ) -> None:
        """Write down what holds now (``BotStatus``); a disk that refuses is not the bot's affair."""
        for pair, reason in vetoes.items():
            if reason:
                self._vetoed.setdefault(pair, Counter())[veto_label(reason)] += 1
        status = BotStatus(
            now_ns,
            second,
            skew_ms,
            errors,
            dict(vetoes),
            tuple(positions),
            {pair: dict(counts) for pair, counts in self._vetoed.items()},
            self._deciding.buckets(),
        )
        try:
            replace_json(self._path, status)
        except OSError as error:
            log.debug("the bot's status could not be written: %s", error)


def position(trade: OpenTrade, exit_name: str | None) -> OpenPosition:
    """An open trade with the exit that was decided for it, if any."""
    event_second = trade.tag.second if trade.tag else 0
    return OpenPosition(trade.pair, trade.trade_id, trade.direction, event_second, exit_name or "")
