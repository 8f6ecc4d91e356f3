"""Figures that can be compared: contenders take turns in one process, the median of seven counts."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

REPETITIONS = 7
Work = Callable[[], object]


def interleaved(contenders: Mapping[str, Work], repetitions: int = REPETITIONS) -> dict[str, float]:
    """Median CPU seconds of each contender; they take turns, so that what disturbs one disturbs all."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()  # compiled or loaded, and its memory touched once
    for _ in range(repetitions):
        for name, work in contenders.items():
            start = time.process_time()
            work()
            times[name].append(time.process_time() - start)
    return {name: median(each) for name, each in times.items()}


def machine() -> dict[str, Any]:
    """What the absolute figures depend on."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def figure(value: float, unit: str, target: float | None = None, *, at_most: bool = False) -> dict[str, Any]:
    """A figure with what it has to reach, where it has to reach something."""
    found: dict[str, Any] = {"value": float(f"{value:.4g}"), "unit": unit}
    if target is not None:
        found |= {"target": f"{'<=' if at_most else '>='} {target:g}"}
        found |= {"met": value <= target if at_most else value >= target}
    return found
