"""SqueezeFlow for FreqTrade: one-second spot and perpetual order flow, scored in five phases.

``build_bars`` and ``score_frame`` (with ``Params``) are the public functions on tables; they are
loaded on first use, so that the collector runs without pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from squeezeflow_plugin.version import VERSION

if TYPE_CHECKING:
    from squeezeflow_plugin.frames import build_bars, score_frame
    from squeezeflow_plugin.phases.params import Params

__version__ = VERSION
__all__ = ["Params", "build_bars", "score_frame"]

_HOMES = {
    "Params": "squeezeflow_plugin.phases.params",
    "build_bars": "squeezeflow_plugin.frames",
    "score_frame": "squeezeflow_plugin.frames",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
