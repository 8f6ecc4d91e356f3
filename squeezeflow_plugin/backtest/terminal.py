"""A run's outcome for the terminal and for other programs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from squeezeflow_plugin.backtest.summary import PairLine, Summary, TradeLine
from squeezeflow_plugin.provider.spans import shown, shown_span

if TYPE_CHECKING:
    from squeezeflow_plugin.backtest.run import Outcome


def as_text(outcome: Outcome) -> str:
    """Some twenty lines: what was run, what came out, what was not known, where the files are."""
    found = outcome.summary
    return (
        "\n".join([*_about(found), *_results(found), *_pairs(found), *found.notes, *_files(outcome)]) + "\n"
    )


def decided(found: Summary) -> str:
    """How often a decision is made."""
    each = found.decide_every
    return "each one a decision" if each == 1 else f"a decision every {each} of them (the regular mode)"


def assumptions(found: Summary) -> str:
    """How a decision becomes a fill, in one sentence."""
    slippage = f"{found.slippage:.4%} worse" if found.slippage else "without slippage"
    return (
        f"A second's decision fills at the open of the second {found.delay_s + 1} s later, {slippage}, "
        f"for a fee of {found.fee:.4%} a side."
    )


def _about(found: Summary) -> list[str]:
    return [
        f"{found.strategy}, {found.trading_mode}, {shown_span(found.start, found.stop)}",
        f"{found.stop - found.start} seconds, {decided(found)}; FreqTrade looked at {found.seconds_seen}",
        assumptions(found),
    ]


def _results(found: Summary) -> list[str]:
    gain, unit = found.final_balance - found.starting_balance, found.stake_currency
    held = f"{found.in_position_share:.1%} of the time in a position"
    balance = f"{gain:+.2f} {unit} of {found.starting_balance:.2f} ({gain / found.starting_balance:+.2%})"
    lines = [f"{len(found.trades)} trades, {balance}, {held}"]
    if found.trades:
        tiers = Counter(trade.tier or "none" for trade in found.trades)
        exits = Counter(trade.exit_reason for trade in found.trades)
        for what, counts in (("tiers", tiers), ("exits", exits)):
            lines.append(f"{what}: {', '.join(f'{name} {count}' for name, count in counts.most_common())}")
    return lines


def _pairs(found: Summary) -> list[str]:
    return [
        f"{line.pair}: {line.events} entry events, {line.noise_events} on its noise;"
        f" {line.untradable_share:.2%} of its seconds untradable{_reasons(line)};"
        f" {line.revised_share:.3%} of its volume revised"
        for line in found.pairs
    ]


def _reasons(line: PairLine) -> str:
    if not line.vetoes:
        return ""
    most = sorted(line.vetoes.items(), key=lambda item: -item[1])[:3]
    return f" ({', '.join(f'{name} {count}' for name, count in most)})"


def _files(outcome: Outcome) -> list[str]:
    lines = [f"{outcome.took_s:.1f} s, {outcome.peak_mb:.0f} MB at most"]
    if outcome.result is not None:
        lines.append(f"result: {outcome.result} (freqtrade backtesting-show, or FreqUI's backtest view)")
    if outcome.report is not None:
        lines.append(f"report: {outcome.report}")
    return lines


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The summary as plain values; seconds are epoch seconds."""
    found = outcome.summary
    return {
        "strategy": found.strategy,
        "trading_mode": found.trading_mode,
        "start": found.start,
        "stop": found.stop,
        "from": shown(found.start),
        "to": shown(found.stop - 1),
        "decide_every": found.decide_every,
        "seconds_seen": found.seconds_seen,
        "delay_s": found.delay_s,
        "slippage": found.slippage,
        "fee": found.fee,
        "starting_balance": found.starting_balance,
        "final_balance": found.final_balance,
        "in_position_share": found.in_position_share,
        "untradable_share": found.untradable_share,
        "events": found.events,
        "noise_events": found.noise_events,
        "pairs": [
            {
                "pair": line.pair,
                "decided": line.decided,
                "tradable": line.tradable,
                "vetoes": dict(line.vetoes),
                "events": line.events,
                "noise_events": line.noise_events,
                "revised_share": line.revised_share,
            }
            for line in found.pairs
        ],
        "trades": [_trade(line) for line in found.trades],
        "notes": list(found.notes),
        "result": None if outcome.result is None else str(outcome.result),
        "report": None if outcome.report is None else str(outcome.report),
        "took_s": outcome.took_s,
        "peak_mb": outcome.peak_mb,
    }


def _trade(line: TradeLine) -> dict[str, Any]:
    return {
        "pair": line.pair,
        "direction": line.direction,
        "tier": line.tier,
        "leverage": line.leverage,
        "decided": None if line.event is None else line.event.second,
        "score": None if line.event is None else line.event.values["score"],
        "opened": line.opened,
        "closed": line.closed,
        "open_rate": line.open_rate,
        "close_rate": line.close_rate,
        "profit_ratio": line.profit_ratio,
        "profit_quote": line.profit_quote,
        "exit_reason": line.exit_reason,
    }
