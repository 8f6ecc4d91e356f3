"""Phase 5: when to leave, judged every second after the entry's decision second E.

The baseline is a pure function of the rows up to E, so it can be recomputed at any time; the
flows after E are summed one after the other from E + 1, so an interrupted watch that is
stepped through the same rows again comes to the same answer.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Final

import numpy as np

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import FloatArray, Flow, FlowRow
from squeezeflow_plugin.phases.decision import Decision, DecisionArrays
from squeezeflow_plugin.phases.kernels import find_exit
from squeezeflow_plugin.phases.layout import EXIT_NAMES
from squeezeflow_plugin.phases.params import Params

WATCHED_NAMES: Final = ("z_spot_15m", "z_perp_15m", "context")
"""The fields of a decision that exits look at, in the order of ``watched_rows``."""
_NEVER_HELD: Final = 2**62  # a hold that no trade reaches: rows are summed, nothing is judged


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is kept at the decision second: direction, noise scales (quote a second), price range."""

    second: int
    direction: int
    sigma_spot: float
    sigma_perp: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.direction not in (1, -1):
            raise EngineError(
                f"the baseline of second {self.second} needs a direction of 1 or -1, was {self.direction!r}"
            )

    @classmethod
    def of(cls, decision: Decision, direction: int | None = None) -> Baseline:
        """The baseline at ``decision``, in the direction of its entry where none is given.

        Raises EngineError where neither says a direction.
        """
        side = decision.entry if direction is None else direction
        scales = decision.sigma_spot, decision.sigma_perp
        return cls(decision.second, side, *scales, decision.range_low, decision.range_high)

    def array(self) -> FloatArray:
        """float64[6] as the kernel reads it."""
        scales = self.sigma_spot, self.sigma_perp
        return np.array([self.direction, *scales, self.low, self.high, self.second], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Exit:
    """The first exit after an entry: the second at which it held, and its name (the exit tag)."""

    second: int
    name: str


class ExitWatch:
    """Watches one open trade; takes every row after E in order, exactly once."""

    def __init__(self, baseline: Baseline, params: Params | None = None) -> None:
        self.baseline = baseline
        self._rules = (Params() if params is None else params).rules()
        self._baseline = baseline.array()
        self._running = np.zeros(3)
        self._watched = np.empty((6, 1))
        self._second = baseline.second

    @property
    def second(self) -> int:
        """The last second taken in; E at first."""
        return self._second

    def copy(self) -> ExitWatch:
        """A watch of its own that stands where this one does."""
        return copy.deepcopy(self)

    def feed(self, flow: Flow) -> None:
        """Take in the seconds that follow without asking for an exit: those before a restart or a revision.

        Raises EngineError where the flow's first second does not follow.
        """
        if len(flow) == 0:
            return
        if flow.time[0] != self._second + 1:
            raise EngineError(
                f"the watch of entry {self.baseline.second} needs second {self._second + 1}, was fed rows "
                f"from {flow.time[0]}; it stays where it is"
            )
        watched = np.zeros((6, len(flow)))
        watched[:2] = flow.spot_buy - flow.spot_sell, flow.perp_buy - flow.perp_sell
        find_exit(self._baseline, self._running, self._rules._replace(min_hold=_NEVER_HELD), watched)
        self._second = int(flow.time[-1])

    def scan(self, first: int, watched: FloatArray) -> Exit | None:
        """Take in the seconds from ``first`` on, ``watched_rows`` of them, up to the first exit.

        None where none holds at any of them; the watch then waits for the second that follows. Raises
        EngineError where ``first`` does not follow.
        """
        if first != self._second + 1:
            raise EngineError(
                f"the watch of entry {self.baseline.second} needs second {self._second + 1}, was given rows "
                f"from {first}; it stays where it is"
            )
        row, code = find_exit(self._baseline, self._running, self._rules, watched)
        self._second = first + row - (0 if code else 1)
        return Exit(self._second, EXIT_NAMES[code]) if code else None

    def step(self, row: FlowRow, decision: Decision) -> str | None:
        """Take in the next second; the name of the exit that holds at it, None where none does.

        Raises EngineError where the second does not follow, or row and decision are of different seconds.
        """
        if row.time != self._second + 1 or decision.second != row.time:
            raise EngineError(
                f"the watch of entry {self.baseline.second} needs second {self._second + 1}, was given the "
                f"row of {row.time} with the decision of {decision.second}; it stays where it is"
            )
        self._watched[:, 0] = (
            row.spot_buy - row.spot_sell,
            row.perp_buy - row.perp_sell,
            row.close,
            decision.z_spot_15m,
            decision.z_perp_15m,
            decision.context,
        )
        _, code = find_exit(self._baseline, self._running, self._rules, self._watched)
        self._second = row.time
        return EXIT_NAMES[code] or None


def watched_rows(
    flow: Flow, z_spot_15m: FloatArray, z_perp_15m: FloatArray, context: FloatArray
) -> FloatArray:
    """What the exits look at, float64[6, n], of the flow's seconds and their decisions."""
    deltas = flow.spot_buy - flow.spot_sell, flow.perp_buy - flow.perp_sell
    return np.stack([*deltas, flow.close, z_spot_15m, z_perp_15m, context])


def first_exit(
    flow: Flow, decisions: DecisionArrays, baseline: Baseline, params: Params | None = None
) -> Exit | None:
    """The first exit after ``baseline.second`` within the rows, None where none holds.

    ``flow`` and ``decisions`` cover the same seconds, E or E + 1 among them. Raises EngineError otherwise.
    """
    if len(flow) != len(decisions) or len(flow) == 0 or flow.time[0] != decisions.second[0]:
        raise EngineError("flow and decisions do not cover the same seconds; no exit is sought")
    first = int(flow.time[0])
    start = baseline.second + 1 - first
    if not 0 <= start <= len(flow):
        raise EngineError(
            f"second {baseline.second + 1}, the first after the entry, is outside the rows from "
            f"{flow.time[0]} to {flow.time[-1]}; no exit is sought"
        )
    watched = watched_rows(flow, *(decisions.column(name) for name in WATCHED_NAMES))
    return ExitWatch(baseline, params).scan(first + start, watched[:, start:])
