"""What a search should make small: losses a trade, after costs, with the trades on noise counted in.

Trades on noise cannot earn anything and pay their costs. So each entry event that an epoch's parameters find
in the same seconds once shuffled (``NOISE_EVENTS``) counts as one more trade, which loses one round of
costs. A few trades prove nothing, however good: from the mean profit of a trade one standard error is
taken, that of as many trades of the same size around zero. One trade alone is then worth 0 at most.
"""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd
from freqtrade.optimize.hyperopt_loss.hyperopt_loss_interface import IHyperOptLoss

NOISE_EVENTS: Final = "noise_events"
"""The column of a frame that counts each candle's entry events on noise."""


class ExpectancyLoss(IHyperOptLoss):  # type: ignore[misc]  # FreqTrade ships no types
    """``--hyperopt-loss SqueezeFlowLoss``; ``user_data/hyperopts`` subclasses it."""

    @staticmethod
    def hyperopt_loss_function(
        *, results: pd.DataFrame, processed: dict[str, pd.DataFrame], **_kwargs: Any
    ) -> float:
        """The percentage that a trade loses, at least: less is better, below 0 is profit."""
        noise = sum(int(frame[NOISE_EVENTS].sum()) for frame in processed.values() if NOISE_EVENTS in frame)
        costs = (results["fee_open"] + results["fee_close"]) * results["leverage"]
        return -100.0 * sure_expectancy(results["profit_ratio"].tolist(), float(costs.mean()), noise)


def sure_expectancy(profits: list[float], costs: float, noise: int) -> float:
    """The profit of a trade less one standard error, as a share of its stake.

    ``profits`` are those of the trades after costs, ``costs`` is one round of them, ``noise`` the number of
    trades on noise.

    >>> round(sure_expectancy([0.01] * 100, 0.002, 0), 6), round(sure_expectancy([0.01] * 100, 0.002, 100), 6)
    (0.009, 0.00349)
    >>> sure_expectancy([0.5], 0.002, 0), sure_expectancy([], 0.002, 0)
    (0.0, 0.0)
    """
    counted = [*profits, *([-costs] * noise)]
    if not counted:
        return 0.0
    error = math.sqrt(math.fsum(profit * profit for profit in counted)) / len(counted)
    return math.fsum(counted) / len(counted) - error
