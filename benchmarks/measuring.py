"""Figures that can be compared: contenders take turns in one process, the median of seven counts."""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import psutil

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


def streaming_mb(read: Callable[..., None], *args: object) -> float:
    """How much a process of its own grows while it reads a long span record by record, in MB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth_mb, (read, args))


def _growth_mb(read: Callable[..., None], args: tuple[object, ...]) -> float:
    process = psutil.Process()
    before = process.memory_info().rss
    read(*args)
    # The peak, which Linux keeps.
    with open("/proc/self/status", encoding="ascii") as status:
        peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return (peak_kb * 1024 - before) / 2**20
