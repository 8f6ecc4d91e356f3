"""SqueezeFlow's loss for ``freqtrade hyperopt``: what it counts is in the installed plugin."""

from squeezeflow_plugin.strategy.loss import ExpectancyLoss


class SqueezeFlowLoss(ExpectancyLoss):
    """``freqtrade hyperopt --hyperopt-loss SqueezeFlowLoss`` finds this class."""
