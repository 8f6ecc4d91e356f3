"""The phases on recorded features: what one epoch of a search has to compute, and no more."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import FloatArray
from squeezeflow_plugin.features.layout import RECORD_WIDTH
from squeezeflow_plugin.phases.kernels import score_recorded, state_size
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, COUNTER_SIZE, FROM_ZERO, NEVER
from squeezeflow_plugin.phases.params import Params


class RecordedEngine:
    """Scores one asset's seconds from what ``FeatureRecorder`` recorded, by the code that ``Engine`` runs.

    A row that is ready has the bits that ``Engine`` gives it, wherever the recording began before it.
    """

    def __init__(self, params: Params) -> None:
        self._rules = params.rules()
        self._flat = np.zeros(state_size(self._rules))
        self._counters = np.full(COUNTER_SIZE, NEVER, dtype=np.int64)
        self._counters[list(FROM_ZERO)] = 0
        self._next: int | None = None

    def columns(self, first: int, recorded: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """float64[n, len(names)]: fields of ``Decision`` for the n seconds from ``first`` on.

        ``recorded`` float64[n, RECORD_WIDTH] was recorded with the noise scales of these parameters. Raises
        EngineError where the seconds do not follow those before, or the array is another one.
        """
        if self._next is not None and first != self._next:
            raise EngineError(f"second {first} does not follow {self._next - 1}; nothing is scored")
        if recorded.ndim != 2 or recorded.shape[1] != RECORD_WIDTH or recorded.dtype != np.float64:
            raise EngineError(
                f"second {first}: recorded features must be float64[n, {RECORD_WIDTH}], were"
                f" {recorded.dtype}{list(recorded.shape)}; nothing is scored"
            )
        out = np.empty((len(recorded), len(names)))
        columns = np.array([COLUMN_NAMES.index(name) for name in names], dtype=np.int64)
        read = recorded.view()
        read.flags.writeable = False  # whoever gives it: for arrays that can be written it is compiled again
        score_recorded(self._flat, self._counters, self._rules, first, read, columns, out)
        self._next = first + len(recorded)
        return out
