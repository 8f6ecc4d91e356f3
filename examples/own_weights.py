"""A strategy of your own: the same data and phases, other weights.

Copy it into ``user_data/strategies/`` and start FreqTrade with ``--strategy PatientFlow``. The names and
their ranges are those of ``squeezeflow_plugin/phases/ranges.py``; what is not named keeps its default.
FreqTrade reads ``buy_params`` and ``sell_params`` itself; a parameter file beside the strategy goes before.
"""

from __future__ import annotations

from typing import ClassVar

from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy


class PatientFlow(SqueezeFlowStrategy):
    """Asks for more evidence than a reset, and leaves a trade alone for two minutes at least."""

    buy_params: ClassVar[dict[str, float]] = {
        "weight_reset": 2.5,
        "weight_absorption": 3.0,
        "weight_breakdown": 2.5,
        "weight_bias": 2.0,
        "min_score": 5.0,
    }
    sell_params: ClassVar[dict[str, float]] = {"min_hold": 120}
