"""SqueezeFlow for FreqTrade: the strategy itself is in the installed plugin; change what you like here."""

from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy


class SqueezeFlow(SqueezeFlowStrategy):
    """``freqtrade trade --strategy SqueezeFlow`` finds this class."""
