"""Within what a search varies the method's parameters: range, step and meaning of each.

The units are those of ``Params``; memories are rows, that is seconds. Every corner of the ranges is a valid
``Params``, so whatever a search draws can be scored, and ``longest`` says which warm-up serves all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from squeezeflow_plugin.errors import ParameterError
from squeezeflow_plugin.phases.params import Params


@dataclass(frozen=True, slots=True)
class Range:
    """``low`` to ``high`` in steps, both included; whole numbers are rows."""

    low: float
    high: float
    step: float
    meaning: str

    @property
    def whole(self) -> bool:
        return isinstance(self.step, int)


ENTRY_RANGES: Final[Mapping[str, Range]] = {
    "ctx_threshold": Range(0.5, 2.0, 0.05, "z of the price from which a window votes on the regime"),
    "div_threshold": Range(1.0, 4.0, 0.05, "z of spot and of perpetuals, with opposite signs, for a setup"),
    "price_threshold": Range(0.0, 3.0, 0.05, "how far the price may run against a setup, in z"),
    "min_activity": Range(0.0, 0.5, 0.01, "share of a window's seconds in which each class traded"),
    "retrace_threshold": Range(0.05, 0.5, 0.01, "share of the gap given back for a reset"),
    "retrace_full": Range(0.2, 1.0, 0.01, "share of the gap given back for the reset's full points"),
    "stall_threshold": Range(0.25, 2.0, 0.05, "z of the price up to which it stalls"),
    "explosion_threshold": Range(1.0, 4.0, 0.05, "z of the price for an explosive confirmation"),
    "min_score": Range(2.0, 8.0, 0.1, "score from which a row qualifies for an entry"),
    "vol_ratio": Range(0.6, 2.0, 0.05, "volatility of 5m to 30m up to which the price stalls"),
    "min_coverage": Range(0.9, 1.0, 0.005, "mean coverage of each window for a tradable second"),
    "setup_ttl": Range(600, 3600, 60, "rows for which a setup stays active"),
    "reset_ttl": Range(60, 900, 30, "rows for which a reset stays active"),
    "explosion_memory": Range(300, 1800, 60, "rows in which an explosion looks for the retrace"),
    "rearm": Range(0, 1800, 60, "rows without a qualifying one before an entry event"),
    "entry_ttl": Range(1, 15, 1, "rows for which an entry is held"),
    "weight_reset": Range(0.0, 6.0, 0.1, "points of a full reset"),
    "weight_absorption": Range(0.0, 6.0, 0.1, "points of full absorption"),
    "weight_breakdown": Range(0.0, 6.0, 0.1, "points of full failed breakdowns"),
    "weight_bias": Range(0.0, 6.0, 0.1, "points of a full directional bias"),
}
EXIT_RANGES: Final[Mapping[str, Range]] = {
    "exit_threshold": Range(1.0, 5.0, 0.05, "z of the flow since the entry, or of 15m, for an exit"),
    "min_hold": Range(15, 900, 15, "rows after the decision in which no exit is taken"),
}
RANGES: Final[Mapping[str, Range]] = {**ENTRY_RANGES, **EXIT_RANGES}
WEIGHT_NAMES: Final = ("weight_reset", "weight_absorption", "weight_breakdown", "weight_bias")
_MEMORIES = ("setup_ttl", "reset_ttl", "explosion_memory", "rearm", "entry_ttl")


def values_of(params: Params) -> dict[str, float]:
    """The parameters by the names of ``RANGES``, the weights one by one.

    >>> values_of(Params())["weight_bias"], values_of(Params())["setup_ttl"]
    (2.0, 1800)
    """
    found: dict[str, float] = dict(zip(WEIGHT_NAMES, params.weights, strict=True))
    return found | {name: getattr(params, name) for name in RANGES if name not in found}


def params_of(values: Mapping[str, float], base: Params) -> Params:
    """``base`` with values by the names of ``RANGES`` put in; ParameterError for an unknown or bad one.

    >>> params_of({"weight_bias": 1.0, "setup_ttl": 2400}, Params()).weights
    (3.5, 2.5, 2.0, 1.0)
    """
    unknown = sorted(set(values) - set(RANGES))
    if unknown:
        raise ParameterError(f"unknown parameter(s) {', '.join(unknown)}; known are {', '.join(RANGES)}")
    every = values_of(base) | dict(values)
    weights = tuple(every.pop(name) for name in WEIGHT_NAMES)
    changed: dict[str, Any] = {**every, "weights": weights}
    return replace(base, **changed)


def longest(base: Params) -> Params:
    """``base`` with every memory as long as a search may make it: its warm-up serves the whole search.

    >>> longest(Params()).warmup_rows
    12010
    """
    return replace(base, **{name: max(int(RANGES[name].high), getattr(base, name)) for name in _MEMORIES})
