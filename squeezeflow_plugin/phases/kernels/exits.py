"""Phase 5 compiled: the first row after an entry on which an exit holds."""

from __future__ import annotations

import math
from collections.abc import Callable

from squeezeflow_plugin.compiling import compiled
from squeezeflow_plugin.features import kernels as fk
from squeezeflow_plugin.phases import layout as to
from squeezeflow_plugin.phases.kernels.state import EPS, FloatArray, sources
from squeezeflow_plugin.phases.params import Rules


def _compile_exits(digest: str) -> Callable[..., tuple[int, int]]:
    @compiled
    def find_exit(
        baseline: FloatArray, running: FloatArray, rules: Rules, watched: FloatArray
    ) -> tuple[int, int]:
        """Take in the rows after the entry's; return (row, exit) of the first that holds, else (n, 0)."""
        _ = digest
        side, limit = baseline[to.B_SIDE], rules.exit_threshold
        for i in range(watched.shape[1]):
            running[to.X_ROWS] += 1.0
            running[to.X_SPOT] += watched[to.V_DELTA_SPOT, i]
            running[to.X_PERP] += watched[to.V_DELTA_PERP, i]
            second = baseline[to.B_SECOND] + running[to.X_ROWS]
            if running[to.X_ROWS] < rules.min_hold or (second + 1.0) % rules.decide_every != 0.0:
                continue
            root = math.sqrt(running[to.X_ROWS])
            spot = side * fk.scaled(running[to.X_SPOT], baseline[to.B_SIGMA_SPOT] * root)
            perp = side * fk.scaled(running[to.X_PERP], baseline[to.B_SIGMA_PERP] * root)
            if spot <= -limit + EPS and perp >= limit - EPS:
                return i, to.EXIT_FLOW
            close = watched[to.V_CLOSE, i]
            if (side > 0.0 and close < baseline[to.B_LOW]) or (side < 0.0 and close > baseline[to.B_HIGH]):
                return i, to.EXIT_RANGE
            if max(side * watched[to.V_Z_SPOT, i], side * watched[to.V_Z_PERP, i]) <= -limit + EPS:
                return i, to.EXIT_CVD
            if side * watched[to.V_CONTEXT, i] <= -to.AGAINST + EPS:
                return i, to.EXIT_CONTEXT
        return watched.shape[1], 0

    return find_exit


find_exit = _compile_exits(sources())
