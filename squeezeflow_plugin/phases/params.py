"""The method's parameters: one frozen value, checked once, with the memory that follows from it.

Thresholds are in the units of what they bound (z values, shares, scores), memories in rows,
that is seconds. Each default stands here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from squeezeflow_plugin.bars.flow import MIN_COVERAGE
from squeezeflow_plugin.errors import ParameterError
from squeezeflow_plugin.features.layout import BLOCK_ROWS, NOISE_ROWS, REGULAR_NOISE_ROWS

BASE_WARMUP_ROWS = 7200
WARMUP_MARGIN_ROWS = 295  # what the defaults' 7200 rows leave above their 6905 rows of memory
CANDLE_MEMORY_ROWS = 1200  # the oldest of the five candles ends 1200 rows back, with that row's noise scales
# Four hours, and six in the regular mode, keep the state of an asset under 1 MB.
MAX_WARMUP_ROWS, REGULAR_MAX_WARMUP_ROWS = 14_400, 21_600


class Rules(NamedTuple):
    """The parameters as the kernels read them: plain numbers, in a fixed order."""

    ctx_threshold: float
    div_threshold: float
    price_threshold: float
    min_activity: float
    retrace_threshold: float
    retrace_full: float
    stall_threshold: float
    explosion_threshold: float
    exit_threshold: float
    min_score: float
    vol_ratio: float
    min_coverage: float
    weight_reset: float
    weight_absorption: float
    weight_breakdown: float
    weight_bias: float
    setup_ttl: int
    reset_ttl: int
    explosion_memory: int
    rearm: int
    entry_ttl: int
    min_hold: int
    warmup_rows: int
    noise_rows: int
    decide_every: int


@dataclass(frozen=True, slots=True)
class Params:
    """Every number of the method that may be searched. Raises ParameterError, naming field and value.

    ``regular`` is the regular mode: rows stay seconds, noise scales span four hours, and only the last
    second of each five minutes decides. ``rearm`` and ``entry_ttl`` then stand at those five minutes.

    >>> Params().warmup_rows
    7200
    >>> Params(setup_ttl=2400).warmup_rows
    7800
    >>> Params(min_score=12.5)
    Traceback (most recent call last):
    squeezeflow_plugin.errors.ParameterError: min_score must be in [0, 10], was 12.5
    """

    ctx_threshold: float = 1.0
    div_threshold: float = 2.0
    price_threshold: float = 1.0
    min_activity: float = 0.10
    retrace_threshold: float = 0.15
    retrace_full: float = 0.50
    stall_threshold: float = 0.75
    explosion_threshold: float = 2.0
    exit_threshold: float = 2.0
    min_score: float = 4.0
    setup_ttl: int = 1800
    reset_ttl: int = 300
    explosion_memory: int = 900
    vol_ratio: float = 1.1
    rearm: int = 300
    entry_ttl: int = 5
    min_hold: int = 60
    min_coverage: float = MIN_COVERAGE
    weights: tuple[float, float, float, float] = (3.5, 2.5, 2.0, 2.0)
    regular: bool = False

    def __post_init__(self) -> None:
        for name in ("ctx_threshold", "div_threshold", "retrace_threshold", "retrace_full"):
            self._require(name, 1e-6, math.inf)
        for name in ("explosion_threshold", "exit_threshold", "vol_ratio"):
            self._require(name, 1e-6, math.inf)
        for name in ("price_threshold", "stall_threshold"):
            self._require(name, 0.0, math.inf)
        for name in ("min_activity", "min_coverage"):
            self._require(name, 0.0, 1.0)
        self._require("min_score", 0.0, 10.0)
        for name in ("setup_ttl", "reset_ttl", "explosion_memory", "entry_ttl", "min_hold"):
            self._require_rows(name, 1)
        self._require_rows("rearm", 0)
        self._require_weights()
        if not isinstance(self.regular, bool):
            raise ParameterError(f"regular must be true or false, was {self.regular!r}")
        most = REGULAR_MAX_WARMUP_ROWS if self.regular else MAX_WARMUP_ROWS
        if self.warmup_rows > most:
            raise ParameterError(
                f"the memories add up to warmup_rows {self.warmup_rows}, at most {most} are supported;"
                " shorten setup_ttl, explosion_memory, reset_ttl, rearm or entry_ttl"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Params:
        """Parameters by name, the others at their defaults; an unknown name is refused.

        >>> Params.from_mapping({"min_score": 6}).min_score
        6
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            names = ", ".join(unknown)
            raise ParameterError(f"unknown parameter(s) {names}; known are {', '.join(sorted(known))}")
        given = dict(values)
        if "weights" in given and isinstance(given["weights"], list):
            given["weights"] = tuple(given["weights"])
        return cls(**given)

    @property
    def decide_every(self) -> int:
        """The seconds that decide are those whose end is a multiple of this."""
        return BLOCK_ROWS if self.regular else 1

    @property
    def noise_rows(self) -> int:
        """The rows of the noise scales."""
        return REGULAR_NOISE_ROWS if self.regular else NOISE_ROWS

    @property
    def rearm_rows(self) -> int:
        """How many rows before an event hold no qualifying row that decides."""
        return BLOCK_ROWS if self.regular else self.rearm

    @property
    def hold_rows(self) -> int:
        """How many rows an entry is held, its event's among them."""
        return BLOCK_ROWS if self.regular else self.entry_ttl

    @property
    def lookback_rows(self) -> int:
        """How many rows, its own included, an output can depend on: 6905 with the defaults.

        An entry looks back over its hold and the rearm span to a qualifying row; that one over the
        reset, explosion and setup memories, or over the candles; and each row's scales over the
        noise window.
        """
        scored = max(self.reset_ttl + self.explosion_memory + self.setup_ttl, CANDLE_MEMORY_ROWS)
        return self.hold_rows + self.rearm_rows + scored + self.noise_rows

    @property
    def warmup_rows(self) -> int:
        """From this many rows on an output does not depend on where the frame began; never below 7200."""
        return max(BASE_WARMUP_ROWS, self.lookback_rows + WARMUP_MARGIN_ROWS)

    def rules(self) -> Rules:
        """The same numbers for the kernels."""
        numbers: list[float | int] = [float(getattr(self, name)) for name in Rules._fields[:12]]
        numbers += [float(weight) for weight in self.weights]
        numbers += [int(getattr(self, name)) for name in Rules._fields[16:]]
        return Rules._make(numbers)._replace(rearm=self.rearm_rows, entry_ttl=self.hold_rows)

    def _require(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ParameterError(f"{name} must be a finite number, was {value!r}")
        if not low <= value <= high:
            bound = f"in [{low:g}, {high:g}]" if math.isfinite(high) else f"at least {low:g}"
            raise ParameterError(f"{name} must be {bound}, was {value!r}")

    def _require_rows(self, name: str, low: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ParameterError(f"{name} must be a whole number of rows, at least {low}, was {value!r}")

    def _require_weights(self) -> None:
        usable = isinstance(self.weights, tuple) and len(self.weights) == 4
        if not usable or not all(
            isinstance(weight, (int, float)) and math.isfinite(weight) and weight >= 0
            for weight in self.weights
        ):
            raise ParameterError(f"weights must be four finite numbers, 0 or more, was {self.weights!r}")
