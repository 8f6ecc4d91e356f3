"""Fragility in backtests: an entry that is about to be taken is judged on the store's final view."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.layout import CLOSE, INPUT_NAMES
from squeezeflow_plugin.phases.fragility import Fragility
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.provider.venues import judge, judged_venues
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.registry import open_store


def final_flow(store: BarStore, markets: AssetMarkets, start: int, stop: int) -> Flow:
    """The asset's priced rows of ``[start, stop)`` in the final view, as the engine's input."""
    pieces = [piece.values[: len(INPUT_NAMES)] for piece in final_rows(store, markets, start, stop)]
    values = np.concatenate([np.empty((len(INPUT_NAMES), 0)), *pieces], axis=1)
    unknown = int(np.isnan(values[CLOSE]).sum())  # only the first prices can be unknown
    return Flow(np.arange(start + unknown, stop, dtype=np.int64), *values[:, unknown:])


class StoredJudge:
    """Judges entries by the store that the settings name, opened when it is needed; safe to pickle.

    Nothing is read where the settings let fragile entries pass, or no class of the pair has three venues.
    """

    def __init__(
        self, settings: Settings, markets: Mapping[str, AssetMarkets], params: Params | None = None
    ) -> None:
        self._settings = settings
        self._markets = dict(markets)
        self._params = Params.from_mapping(settings.method) if params is None else params
        self._found: dict[tuple[str, int], Fragility] = {}

    def refusal(self, pair: str, second: int, direction: int) -> str:
        """Why the entry on the event of ``second`` is refused, empty where it stands."""
        markets = self._markets[pair]
        if not self._settings.refuse_fragile or not judged_venues(markets):
            return ""
        if (pair, second) not in self._found:
            store = open_store(self._settings)
            try:
                self._found[pair, second] = self._judge(store, markets, second, direction)
            finally:
                store.close()
        return str(self._found[pair, second])

    def by(self, params: Params) -> StoredJudge:
        """The same judge for other parameters than the settings'."""
        return StoredJudge(self._settings, self._markets, params)

    def _judge(self, store: BarStore, markets: AssetMarkets, second: int, direction: int) -> Fragility:
        span = store.span()
        start = max(second + 1 - self._params.warmup_rows, span[0] if span else 0)
        flow = final_flow(store, markets, start, second + 1)
        return judge(store, markets, flow, direction, self._params)
