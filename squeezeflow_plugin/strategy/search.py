"""What ``freqtrade hyperopt`` may vary: the method's parameters and FreqTrade's protections.

FreqTrade finds the parameters as attributes, writes the best values beside the strategy
(``SqueezeFlow.json``) and reads them there whenever the strategy is loaded. A parameter that
SQUEEZEFLOW_PARAMS names is fixed: it is neither read from there nor searched.

This module, as every one that a strategy's base class stands in, is pickled by value for hyperopt's workers,
so it holds nothing but definitions.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Final

from freqtrade.enums import RunMode
from freqtrade.strategy import IntParameter, IStrategy, RealParameter
from freqtrade.strategy.parameters import NumericParameter

from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.ranges import ENTRY_RANGES, RANGES, params_of, values_of
from squeezeflow_plugin.provider.tuning import DECIMALS, fixed, with_params
from squeezeflow_plugin.settings import Settings

_DEFAULTS: Final = values_of(Params())


def searched(name: str) -> Any:
    """FreqTrade's parameter for one of ``RANGES``, in the space ``buy`` or ``sell``."""
    given, space = RANGES[name], "buy" if name in ENTRY_RANGES else "sell"
    kind = IntParameter if given.whole else RealParameter
    return kind(given.low, given.high, default=_DEFAULTS[name], space=space, step=given.step)


class SearchedStrategy(IStrategy):  # type: ignore[misc]  # FreqTrade ships no types
    """The parameters as FreqTrade wants them; a duration of 0 minutes leaves its protection out.

    Protections are given in minutes, which hold whatever FreqTrade's timeframe is. FreqTrade applies them in
    dry-run and live, in backtests with ``--enable-protections``.
    """

    ctx_threshold = searched("ctx_threshold")
    div_threshold = searched("div_threshold")
    price_threshold = searched("price_threshold")
    min_activity = searched("min_activity")
    retrace_threshold = searched("retrace_threshold")
    retrace_full = searched("retrace_full")
    stall_threshold = searched("stall_threshold")
    explosion_threshold = searched("explosion_threshold")
    min_score = searched("min_score")
    vol_ratio = searched("vol_ratio")
    min_coverage = searched("min_coverage")
    setup_ttl = searched("setup_ttl")
    reset_ttl = searched("reset_ttl")
    explosion_memory = searched("explosion_memory")
    rearm = searched("rearm")
    entry_ttl = searched("entry_ttl")
    weight_reset = searched("weight_reset")
    weight_absorption = searched("weight_absorption")
    weight_breakdown = searched("weight_breakdown")
    weight_bias = searched("weight_bias")
    exit_threshold = searched("exit_threshold")
    min_hold = searched("min_hold")

    cooldown_minutes = IntParameter(0, 120, default=0, space="protection", step=5)
    loss_pause_minutes = IntParameter(0, 720, default=0, space="protection", step=30)
    loss_trades = IntParameter(2, 8, default=4, space="protection")
    stop_pause_minutes = IntParameter(0, 720, default=0, space="protection", step=30)
    stop_trades = IntParameter(1, 4, default=2, space="protection")
    protection_lookback_minutes = IntParameter(60, 1440, default=360, space="protection", step=60)

    @property
    def protections(self) -> list[dict[str, Any]]:
        """A pause after each trade, after trades without profit, and after stops; none unless asked for."""
        lookback = self.protection_lookback_minutes.value
        found = []
        if minutes := self.cooldown_minutes.value:
            found.append({"method": "CooldownPeriod", "stop_duration": minutes})
        for method, pause, trades in (
            ("LowProfitPairs", self.loss_pause_minutes.value, self.loss_trades.value),
            ("StoplossGuard", self.stop_pause_minutes.value, self.stop_trades.value),
        ):
            if pause:
                limits = {"lookback_period": lookback, "trade_limit": trades, "stop_duration": pause}
                found.append({"method": method, **limits})
        return found

    def tuned(self, settings: Settings) -> Settings:
        """The settings with the values of FreqTrade's parameter file (or ``buy_params``) put in.

        Raises ParameterError for one that is out of the method's range.
        """
        base = Params.from_mapping(settings.method)
        named, values = fixed(settings), values_of(base)
        for name in _SEARCHED:
            # this object's own: what FreqTrade looks up otherwise stands in the class, which others share
            parameter = copy(getattr(self, name))
            if name in named:
                parameter.value, parameter.load, parameter.optimize = values[name], False, False
            setattr(self, name, parameter)
        self.ft_load_hyper_params(self.config.get("runmode") == RunMode.HYPEROPT)
        return with_params(settings, self.searched_params(base))

    def searched_params(self, base: Params) -> Params:
        """``base`` with the values that the parameters have now, in hyperopt those of the epoch."""
        given = {name: getattr(self, name) for name in RANGES}
        return params_of(
            {name: round(each.value, DECIMALS) for name, each in given.items() if each.load}, base
        )


_SEARCHED: Final = tuple(
    name for name, value in vars(SearchedStrategy).items() if isinstance(value, NumericParameter)
)
