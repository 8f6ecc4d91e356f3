"""Does a signal stand without any one of its venues, or does one venue alone make it?

One venue's flow can be faked (wash trades) or be an accident of one large order. So an entry is scored
again with each venue of a class left out, where the class has at least three. What is then left has less
flow and less noise, and crosses the thresholds some seconds earlier or later than the whole does; since an
event lies on the very second at which the whole crosses the last of them (the retrace, a stall, the minimum
score), every second honest signal would fail by a hair. So the setup has to stand in full, and from there on
the signal stands if it still qualifies with the retrace and the score that it asks for lowered to ``SLACK``
of theirs. Where it does not, it is fragile: without that venue it would not exist, not merely come later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params

LEAST_VENUES = 3
SLACK = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class Rest:
    """A class, ``spot`` or ``perp``, without one venue: taker volumes float64[n] of the flow's rows."""

    kind: str
    venue: str
    buy: FloatArray
    sell: FloatArray


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The score without a venue of a class, and whether the signal stands without it."""

    kind: str
    venue: str
    score: float
    stands: bool


@dataclass(frozen=True, slots=True)
class Fragility:
    """An entry without each of its venues; nothing is left out where no class has three."""

    second: int
    direction: int
    left_out: tuple[LeftOut, ...]

    @property
    def fragile(self) -> bool:
        """Whether one venue alone makes the signal."""
        return any(not each.stands for each in self.left_out)

    def __str__(self) -> str:
        """``fragile: without BINANCE spot the score is 1.20``, empty where it is not."""
        alone = [
            f"without {each.venue} {each.kind} the score is {each.score:.2f}"
            for each in self.left_out
            if not each.stands
        ]
        return f"fragile: {', '.join(alone)}" if alone else ""


def slackened(params: Params) -> Params:
    """The parameters that a signal without one of its venues has to meet.

    >>> slackened(Params()).min_score
    2.0
    """
    return replace(
        params, retrace_threshold=SLACK * params.retrace_threshold, min_score=SLACK * params.min_score
    )


def fragility(flow: Flow, rests: Iterable[Rest], direction: int, params: Params | None = None) -> Fragility:
    """Judge the signal of ``direction`` at the last row of ``flow``, whose rows are its whole memory.

    Raises EngineError or FrameError where a rest does not fit the flow.
    """
    params = Params() if params is None else params
    found = []
    for rest in rests:
        if rest.kind == "spot":
            left = replace(flow, spot_buy=rest.buy, spot_sell=rest.sell)
        else:
            left = replace(flow, perp_buy=rest.buy, perp_sell=rest.sell)
        score, eligible = Engine(params).columns(left, ("score", "eligible"))[-1].tolist()
        stands = eligible == direction
        if not stands:
            stands = Engine(slackened(params)).columns(left, ("eligible",))[-1, 0] == direction
        found.append(LeftOut(rest.kind, rest.venue, score, bool(stands)))
    return Fragility(int(flow.time[-1]), direction, tuple(found))
