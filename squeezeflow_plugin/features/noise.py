"""The same seconds as noise: shuffled, so that they have no direction left.

An instrument that fires on noise is worth nothing, so the number of entry events on it stands beside every
result. Within each piece the seconds of spot flow, of perpetual flow and of price are shuffled, each on its
own, and every second's sides are swapped with even odds. That keeps how large single seconds are and
takes away what one second says about another, and about another class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.features.flow import PRICE_NAMES, FloatArray, Flow


class NoiseMaker:
    """Shuffles one asset's seconds, piece after piece; the same ``seed`` and pieces give the same noise."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._close: float | None = None

    def shuffled(self, flow: Flow) -> Flow:
        """The seconds of ``flow``, which follow those before, as noise; everything counts as covered."""
        if len(flow) == 0:
            return flow
        columns = {"time": flow.time, **self._prices(flow)}
        for name in ("spot", "perp"):
            order, swap = self._order(len(flow))
            buy, sell = getattr(flow, f"{name}_buy")[order], getattr(flow, f"{name}_sell")[order]
            columns[f"{name}_buy"] = np.where(swap, sell, buy)
            columns[f"{name}_sell"] = np.where(swap, buy, sell)
        return Flow.from_columns(columns)

    def _prices(self, flow: Flow) -> dict[str, FloatArray]:
        """A walk of the shuffled seconds' returns, some of them mirrored, on from the last piece's end."""
        before = np.append(flow.open[0], flow.close[:-1])
        order, swap = self._order(len(flow))
        steps = {name: np.log(getattr(flow, name) / before)[order] for name in PRICE_NAMES}
        steps["high"], steps["low"] = (
            np.where(swap, -steps["low"], steps["high"]),
            np.where(swap, -steps["high"], steps["low"]),
        )
        for name in ("open", "close"):
            steps[name] = np.where(swap, -steps[name], steps[name])
        start = float(flow.open[0]) if self._close is None else self._close
        path = np.cumsum(steps["close"]) - steps["close"]
        prices = {name: start * np.exp(path + step) for name, step in steps.items()}
        self._close = float(prices["close"][-1])
        return prices

    def _order(self, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        return self._random.permutation(n), self._random.random(n) < 0.5
