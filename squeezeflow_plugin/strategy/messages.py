"""One line for a person: why a trade was entered, why it was left."""

from __future__ import annotations

from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.strategy.trades import Fill, OpenTrade

_PARTS = (
    ("reset", "score_reset"),
    ("absorption", "score_absorption"),
    ("breakdown", "score_breakdown"),
    ("bias", "score_bias"),
    ("open interest", "score_oi"),
)
_EXITS = {
    "flow_reversal": "spot flow has turned against it while leverage stays",
    "range_break": "the price left the range of the half hour before the entry",
    "cvd_invalidation": "spot and perpetual flow of 15 minutes have both turned",
    "context_invalidation": "the longer trend has turned",
    "stop_loss": "the emergency stop",
    "stoploss_on_exchange": "the emergency stop at the exchange",
    "force_exit": "by hand",
    "emergency_exit": "FreqTrade's emergency exit",
    "liquidation": "liquidation",
}


def entered(trade: OpenTrade, event: Decision | None, fill: Fill, leverage: float) -> str:
    """Why the trade was entered; ``event`` is the decision of its event, None where it is not known.

    >>> entered(OpenTrade("BTC/USDT", 1, 1, None), None, Fill(True, 0, 0, 65000.0, 500.0), 1.0)
    'BTC/USDT long at 65000: by hand'
    """
    head = f"{trade.pair} {_side(trade)}{f' {leverage:g}x' if leverage > 1 else ''} at {fill.price:g}"
    if trade.tag is None:
        return f"{head}: by hand"
    head += f", score {trade.tag.score:.2f}"
    if event is None or event.second != trade.tag.second:
        return head
    parts = ", ".join(f"{name} {points:.1f}" for name, field in _PARTS if (points := getattr(event, field)))
    covered = min(event.coverage_spot_1h, event.coverage_perp_1h)
    return (
        f"{head} ({parts}): spot z {event.z_spot_15m:+.1f}, perps z {event.z_perp_15m:+.1f} in 15 min,"
        f" {event.retrace_peak:.0%} of the gap given back, coverage {covered:.0%}"
    )


def left(trade: OpenTrade, reason: str, fill: Fill) -> str:
    """Why the trade was left.

    >>> left(OpenTrade("BTC/USDT", 1, 1, None), "range_break", Fill(False, 0, 0, 64000.0, 500.0))
    'BTC/USDT long left at 64000, range_break: the price left the range of the half hour before the entry'
    """
    held = ""
    if trade.tag is not None:
        minutes = (fill.filled_ns / NS_PER_SECOND - trade.tag.second) / 60
        held = f" after {minutes:.1f} min"
    why = f": {_EXITS[reason]}" if reason in _EXITS else ""
    return f"{trade.pair} {_side(trade)} left{held} at {fill.price:g}, {reason}{why}"


def _side(trade: OpenTrade) -> str:
    return "long" if trade.direction > 0 else "short"
