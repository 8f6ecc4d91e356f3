"""Entries that one venue alone makes: judged when they are decided, refused where the settings say so."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.phases.fragility import Fragility
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.rows import AssetRows
from squeezeflow_plugin.provider.venues import judge
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore

log = logging.getLogger(__name__)


class FragilityGate:
    """Remembers of each pair whether its newest event stands without any one of its venues."""

    def __init__(self, store: BarStore, markets: Mapping[str, AssetMarkets], settings: Settings) -> None:
        self._store = store
        self._markets = markets
        self._params = Params.from_mapping(settings.method)
        self._refuses = settings.refuse_fragile
        self._newest: dict[str, Fragility] = {}

    def judge(self, pair: str, rows: AssetRows, event: Decision) -> None:
        """Judge the event just decided, as known at its second; StoreError where that cannot be read."""
        stop = event.second + 1
        first = rows.first if rows.first_priced is None else rows.first_priced
        flow = rows.flow(max(first, stop - self._params.warmup_rows), stop)
        found = judge(self._store, self._markets[pair], flow, event.event, self._params, event.second)
        self._newest[pair] = found
        if found.fragile:
            log.warning(
                "%s: entry of second %d: %s%s", pair, found.second, found, ", refused" * self._refuses
            )

    def note(self, pair: str, second: int) -> str:
        """``fragile`` for a fragile event, else empty."""
        found = self._newest.get(pair)
        return "fragile" if found is not None and found.second == second and found.fragile else ""

    def refuses(self, pair: str, second: int) -> bool:
        """Whether the event of ``second`` must not be entered."""
        return self._refuses and bool(self.note(pair, second))
