"""The scoring engine of one asset: state in two flat arrays, moved on by one compiled function.

Batch, live step, backtest and replay call the same machine code, so they agree to the bit. A
restart, or a revision of the past, makes a new engine (or ``reset``) and feeds it the last
``params.warmup_rows`` rows and what follows: milliseconds, and nothing to keep on disk.
"""

from __future__ import annotations

from typing import Final

import llvmlite  # type: ignore[import-untyped]  # it ships no types
import llvmlite.binding as llvm  # type: ignore[import-untyped]  # the same
import numba
import numpy as np

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import FloatArray, Flow, FlowRow, check_row
from squeezeflow_plugin.features.layout import INPUT_COUNT
from squeezeflow_plugin.phases.decision import Decision, DecisionArrays, decision_of
from squeezeflow_plugin.phases.kernels import find_exit, score_rows, state_size
from squeezeflow_plugin.phases.layout import COLUMN_COUNT, COLUMN_NAMES, COUNTER_SIZE, FROM_ZERO, NEVER, ROWS
from squeezeflow_plugin.phases.params import Params

METHOD_VERSION: Final = "1"  # raised whenever some number may come out differently

_ALL = np.arange(COLUMN_COUNT, dtype=np.int64)
_NONE = np.empty(0, dtype=np.int64)


def fingerprint(params: Params) -> str:
    """What the bits of a decision depend on: method version, parameters and build."""
    build = (
        f"numba {numba.__version__} numpy {np.__version__} llvmlite {llvmlite.__version__} "
        f"llvm {'.'.join(map(str, llvm.llvm_version_info))} cpu {llvm.get_host_cpu_name()}"
    )
    return f"method {METHOD_VERSION} | {params} | {build}"


def prepare() -> None:
    """Load every compiled function from Numba's cache, or compile it: some 20 s, once an installation.

    For a program's start, so that no second and no exit has to wait for it.

    >>> prepare()
    """
    Engine().step(FlowRow(0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0))
    find_exit(np.zeros(6), np.zeros(3), Params().rules(), np.empty((6, 0)))


class Engine:
    """Scores the seconds of one asset, in order and without a gap.

    With ``memory`` the rows that are not ready say what later rows remember of them instead of 0, as far as
    the rows before them are there; explanations look at that.

    >>> engine = Engine()
    >>> engine.step(FlowRow(60, 1.0, 1.0, 1.0, 1.0, 5.0, 0.0, 0.0, 0.0)).veto
    'warming_up'
    >>> engine.second, engine.rows
    (60, 1)
    """

    def __init__(self, params: Params | None = None, *, memory: bool = False) -> None:
        self.params: Final = Params() if params is None else params
        rules = self.params.rules()
        self._rules = rules._replace(warmup_rows=0) if memory else rules
        self._flat = np.zeros((1, state_size(self._rules)))
        self._counters = np.zeros((1, COUNTER_SIZE), dtype=np.int64)
        self._cell = np.empty((1, INPUT_COUNT, 1))
        self._out = np.empty((1, 1, COLUMN_COUNT))
        self._second: int | None = None
        self.reset()

    def reset(self) -> None:
        """Forget every row."""
        self._flat[:] = 0.0
        self._counters[:] = NEVER
        self._counters[:, FROM_ZERO] = 0
        self._second = None

    @property
    def second(self) -> int | None:
        """The last second scored; None before the first."""
        return self._second

    @property
    def rows(self) -> int:
        """How many rows the state has taken in."""
        return int(self._counters[0, ROWS])

    @property
    def state_bytes(self) -> int:
        return self._flat.nbytes + self._counters.nbytes

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.params)

    def step(self, row: FlowRow) -> Decision:
        """Score the next second. Raises EngineError where it does not follow or cannot be scored."""
        check_row(row)
        self._follow(row.time)
        self._cell[0, :, 0] = row[1:]
        score_rows(self._flat, self._counters, self._rules, row.time, self._cell, _ALL, self._out)
        self._second = row.time
        return decision_of(row.time, self._out[0, 0])

    def run(self, flow: Flow) -> DecisionArrays:
        """Score every row of ``flow``, which must follow the last second; the state goes on from there."""
        return DecisionArrays(second=flow.time, values=self._score(flow, _ALL))

    def feed(self, flow: Flow) -> None:
        """As ``run``, where only the state matters, as for the rows that warm it up."""
        self._score(flow, _NONE)

    def columns(self, flow: Flow, names: tuple[str, ...]) -> FloatArray:
        """As ``run``, for some fields of ``Decision`` only: float64[n, len(names)]."""
        return self._score(flow, np.array([COLUMN_NAMES.index(name) for name in names], dtype=np.int64))

    def _score(self, flow: Flow, columns: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
        out = np.empty((len(flow), len(columns)))
        if len(flow) == 0:
            return out
        first = int(flow.time[0])
        self._follow(first)
        inputs = flow.matrix()[np.newaxis]
        score_rows(self._flat, self._counters, self._rules, first, inputs, columns, out[np.newaxis])
        self._second = int(flow.time[-1])
        return out

    def _follow(self, second: int) -> None:
        if self._second is not None and second != self._second + 1:
            raise EngineError(
                f"second {second} does not follow {self._second}, the last one scored; it is not scored. "
                "Reset the engine and feed it the rows before"
            )
