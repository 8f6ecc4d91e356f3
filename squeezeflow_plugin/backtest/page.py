"""The report: one HTML file that needs nothing else, with pictures drawn as SVG.

It says what was run and assumed, what came out, and what a reader needs to doubt it: how much of the span
could not be traded, how much of the volume was known later, and how often the method fires on noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from squeezeflow_plugin.backtest.charts import (
    BLUE,
    DIRECTION_COLOURS,
    GREEN,
    INK,
    OCHRE,
    RED,
    Line,
    Mark,
    bar_chart,
    histogram,
    time_chart,
)
from squeezeflow_plugin.backtest.stepper import SecondsBacktesting
from squeezeflow_plugin.backtest.summary import Summary, TradeLine
from squeezeflow_plugin.backtest.terminal import assumptions, decided
from squeezeflow_plugin.features.flow import FloatArray
from squeezeflow_plugin.provider.decisions import COVERAGE_NAMES
from squeezeflow_plugin.provider.spans import shown, shown_span

MOST_TRADES = 500
PARTS = ("score_reset", "score_absorption", "score_breakdown", "score_bias", "score_oi")
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2733;max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.2rem}svg{width:100%;height:auto;margin:.4rem 0}
svg text{font:11px system-ui,sans-serif}svg .t{font-weight:600;font-size:13px}svg .g{stroke:#e4e8ec}
table{border-collapse:collapse;width:100%;font-size:13px}td,th{padding:.2rem .5rem;text-align:right;
border-bottom:1px solid #e4e8ec;white-space:nowrap}td:first-child,th:first-child{text-align:left}
.w{overflow-x:auto}.n{color:#5b6672}
"""

_QUALITY = (
    "Revised volume lies in bars written again after their second had closed: a live decision may have seen "
    "less of it. Noise: within each chunk of two hours the seconds of spot flow, perpetual flow and price "
    "are shuffled, each on its own, and every second's sides are swapped with even odds."
)


def write_page(path: Path, run: SecondsBacktesting, found: Summary) -> None:
    """Write the report of a finished run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"{found.strategy}: {shown_span(found.start, found.stop)}"
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            *_about(found),
            *_balance(run),
            *(_pair_charts(pair, run, found) for pair in run.series),
            *_groups(found),
            *_quality(found),
            *_trades(found),
        ]
    )
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    path.write_text(f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>', "utf-8")


def _about(found: Summary) -> list[str]:
    gain, unit = found.final_balance - found.starting_balance, found.stake_currency
    span = f"{found.stop - found.start:,} seconds of {len(found.pairs)} pairs ({found.trading_mode})"
    balance = f"{gain:+,.2f} {unit} on {found.starting_balance:,.2f} ({gain / found.starting_balance:+.2%})"
    events = f"{found.events} entry events, and {found.noise_events} in the same seconds shuffled into noise"
    says = [
        f"{span}, {decided(found)}.",
        assumptions(found),
        f"{len(found.trades)} trades, {balance}; {found.in_position_share:.1%} of the time in a position.",
        f"{found.untradable_share:.2%} of the seconds could not be traded.",
        f"The method found {events}.",
        *found.notes,
        "A backtest says what rules would have done with past prices at assumed fills. It promises nothing.",
    ]
    return ["<ul>", *(f"<li>{escape(text)}</li>" for text in says), "</ul>"]


def _balance(run: SecondsBacktesting) -> list[str]:
    (content,) = run.all_bt_content.values()
    wallet = content["wallet_summary"]
    if wallet.empty:
        return ["<h2>Equity</h2>", time_chart("Equity", ())]
    worth = (wallet["rate"] * wallet["balance"]).groupby(wallet["date"]).sum()
    time = _epoch(pd.Series(worth.index))
    value = worth.to_numpy(dtype=np.float64)
    fall = (value / np.maximum.accumulate(value) - 1) * 100
    return [
        "<h2>Equity and drawdown</h2>",
        time_chart(f"Equity, {run.config['stake_currency']}", (Line("equity", time, value, BLUE),)),
        time_chart("Drawdown, %", (Line("drawdown", time, fall, RED, filled=True),), height=140),
    ]


def _pair_charts(pair: str, run: SecondsBacktesting, found: Summary) -> str:
    frame = run.series[pair].candles()
    time = _epoch(frame["date"])
    marks = [mark for trade in found.trades if trade.pair == pair for mark in _marks(trade)]
    spot, perp = (frame[name].cumsum().to_numpy() for name in ("spot_delta", "perp_delta"))
    price = time_chart(
        f"{pair}: price, entries (filled) and exits",
        (Line("price", time, frame["close"].to_numpy(), INK),),
        marks,
    )
    cvd = time_chart(
        f"{pair}: cumulative volume delta since the start, quote currency",
        (Line("spot", time, spot, GREEN), Line("perp", time, perp, OCHRE)),
    )
    scores = [trade for trade in found.trades if trade.pair == pair and trade.event is not None]
    return f"<h2>{escape(pair)}</h2>{price}{cvd}{_score_chart(pair, scores)}"


def _marks(trade: TradeLine) -> tuple[Mark, Mark]:
    side = "long" if trade.direction > 0 else "short"
    colour = DIRECTION_COLOURS[trade.direction]
    left = DIRECTION_COLOURS[1 if trade.profit_quote > 0 else -1]
    return (
        Mark(trade.opened, trade.open_rate, colour, trade.direction > 0, f"{side} {shown(trade.opened)}"),
        Mark(
            trade.closed,
            trade.close_rate,
            left + "88",
            trade.direction < 0,
            f"{trade.exit_reason} {shown(trade.closed)}, {trade.profit_ratio:+.2%}",
        ),
    )


def _score_chart(pair: str, trades: Sequence[TradeLine]) -> str:
    events = [trade.event for trade in trades if trade.event is not None]
    if not events:
        return ""
    rows = []
    for trade, event in zip(trades, events, strict=True):
        values = [event.values["score"], *(event.values[name] for name in PARTS)]
        rest = [event.values["context"], event.values["divergence"], event.values["retrace_peak"]]
        rows.append(
            [shown(event.second), *(f"{value:.2f}" for value in values + rest), f"{trade.profit_ratio:+.2%}"]
        )
    names = ["decided", "score", *(name.removeprefix("score_") for name in PARTS)]
    title = f"<h3>{escape(pair)}: the score and its parts at each trade</h3>"
    return title + _table([*names, "context", "divergence", "retrace", "result"], rows[:MOST_TRADES])


def _groups(found: Summary) -> list[str]:
    unit = found.stake_currency
    groups: tuple[tuple[str, Callable[[TradeLine], str]], ...] = (
        ("Result by tier", lambda trade: trade.tier or "none"),
        ("Result by exit reason", lambda trade: trade.exit_reason),
        ("Result by direction", lambda trade: "long" if trade.direction > 0 else "short"),
        ("Result by pair", lambda trade: trade.pair),
        ("Result by coverage at the decision", _coverage_band),
    )
    charts = []
    for title, key in groups:
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for trade in found.trades:
            name = key(trade)
            sums[name] = sums.get(name, 0.0) + trade.profit_quote
            counts[name] = counts.get(name, 0) + 1
        names = sorted(sums)
        charts.append(
            bar_chart(title, [f"{name} ({counts[name]})" for name in names], [sums[n] for n in names], unit)
        )
    held = histogram("Time held, seconds (logarithmic)", [float(trade.held_s) for trade in found.trades], "s")
    return ["<h2>Durations and groups</h2>", held, *charts]


def _coverage_band(trade: TradeLine) -> str:
    if trade.event is None:
        return "unknown"
    least = min(trade.event.values[name] for name in COVERAGE_NAMES)
    return "complete" if least >= 1.0 else "98 to 100 %"


def _quality(found: Summary) -> list[str]:
    rows = [
        [
            line.pair,
            f"{line.decided:,}",
            f"{line.untradable_share:.3%}",
            ", ".join(f"{name} {count:,}" for name, count in line.vetoes.items()) or "-",
            f"{line.revised_share:.4%}",
            str(line.events),
            str(line.noise_events),
        ]
        for line in found.pairs
    ]
    head = ("pair", "decided", "untradable", "first reasons", "revised volume", "events", "events on noise")
    return [
        "<h2>Data and noise</h2>",
        _table(head, rows),
        f'<p class="n">{_QUALITY}</p>',
    ]


def _trades(found: Summary) -> list[str]:
    rows = [
        [
            trade.pair,
            "long" if trade.direction > 0 else "short",
            trade.tier or "-",
            f"{trade.leverage:g}",
            "-" if trade.event is None else shown(trade.event.second),
            shown(trade.opened),
            shown(trade.closed),
            f"{trade.held_s:,}",
            f"{trade.open_rate:g}",
            f"{trade.close_rate:g}",
            f"{trade.profit_quote:+.2f}",
            trade.exit_reason,
        ]
        for trade in found.trades[:MOST_TRADES]
    ]
    head = (
        "pair",
        "side",
        "tier",
        "x",
        "decided",
        "in",
        "out",
        "s",
        "at",
        "at",
        found.stake_currency,
        "exit",
    )
    more = len(found.trades) - MOST_TRADES
    note = [f'<p class="n">and {more} more, in the result file</p>'] if more > 0 else []
    return ["<h2>Trades</h2>", _table(head, rows), *note]


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="w"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _epoch(dates: pd.Series) -> FloatArray:
    seconds: FloatArray = pd.DatetimeIndex(dates).as_unit("s").astype("int64").to_numpy().astype(np.float64)
    return seconds
