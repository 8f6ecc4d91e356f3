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
    INK,
    OCHRE,
    QUIET,
    RED,
    TEAL,
    VIOLET,
    Band,
    Layer,
    Line,
    Mark,
    bar_chart,
    column_chart,
    stack_chart,
    time_chart,
)
from squeezeflow_plugin.backtest.stepper import SecondsBacktesting
from squeezeflow_plugin.backtest.summary import Summary, TradeLine
from squeezeflow_plugin.backtest.terminal import assumptions, decided
from squeezeflow_plugin.features.flow import FloatArray
from squeezeflow_plugin.provider.decisions import COVERAGE_NAMES
from squeezeflow_plugin.provider.spans import shown, shown_span

MOST_TRADES = 500
MOST_BANDS = 75  # of a pair; more would cover the picture
PARTS = {
    "score_reset": BLUE,
    "score_absorption": TEAL,
    "score_breakdown": OCHRE,
    "score_bias": VIOLET,
    "score_oi": QUIET,
}
BEHIND = {"context": "context", "divergence": "divergence", "retrace_peak": "retrace"}
_STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#1d2733;--quiet:#5b6672;--grid:#e4e8ec;--card:#f4f6f8;
--green:#1f8a54;--red:#c2413a;--blue:#2a6fdb;--ochre:#b7791f;--violet:#7a55c7;--teal:#14868c}
@media(prefers-color-scheme:dark){:root{--page:#12181f;--ink:#e6ebf0;--quiet:#9aa6b2;--grid:#2a333d;
--card:#1b232c;--green:#3fbf82;--red:#ef6b62;--blue:#6ea3ff;--ochre:#e0a94a;--violet:#b79bff;--teal:#44c2c9}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:1000px;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:0}h2{font-size:1.15rem;margin:2.4rem 0 .4rem}
svg{display:block;width:100%;min-width:560px;height:auto;margin:.3rem 0}
svg text{font:12px system-ui,sans-serif}svg .t{font-weight:600;font-size:13px;fill:var(--ink)}
svg .g{stroke:var(--grid)}svg .a{stroke:var(--quiet)}svg .d{stroke:var(--ink);stroke-dasharray:5 4}
svg .m{stroke:var(--page);stroke-width:.7}svg circle{fill:var(--page);stroke-width:1.6}
table{border-collapse:collapse;width:100%;font-size:13px}td,th{padding:.2rem .5rem;text-align:right;
border-bottom:1px solid var(--grid);white-space:nowrap}td:first-child,th:first-child{text-align:left}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:.6rem;margin:1rem 0}
dl div{background:var(--card);border-radius:6px;padding:.5rem .8rem}dt{color:var(--quiet);font-size:13px}
dd{margin:0;font-size:1.15rem;font-weight:600}dd small{display:block;font-size:12px;font-weight:400}
ul{padding-left:1.2rem}summary{cursor:pointer;margin:.4rem 0}.w{overflow-x:auto}.n{color:var(--quiet)}
"""

_QUALITY = (
    "Revised volume lies in bars written again after their second had closed: a live decision may have seen "
    "less of it. Noise: within each chunk of two hours the seconds of spot flow, perpetual flow and price "
    "are shuffled, each on its own, and every second's sides are swapped with even odds."
)
_HELD = ((60, "1 min"), (120, "2 min"), (300, "5 min"), (900, "15 min"), (3600, "1 h"), (14_400, "4 h"))


def write_page(path: Path, run: SecondsBacktesting, found: Summary) -> None:
    """Write the report of a finished run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"{found.strategy}: {shown_span(found.start, found.stop)}"
    body = "\n".join(
        [
            f"<h1>{escape(found.strategy)}, backtest</h1>",
            f'<p class="n">{escape(shown_span(found.start, found.stop))}</p>',
            *_about(found),
            *_balance(run),
            *(_pair_charts(pair, run, found) for pair in run.series),
            *_groups(found),
            *_quality(found),
            *_trades(found),
        ]
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    path.write_text(f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>', "utf-8")


def _about(found: Summary) -> list[str]:
    gain, unit = found.final_balance - found.starting_balance, found.stake_currency
    won = sum(trade.profit_quote > 0 for trade in found.trades)
    tiles = (
        ("Result", f"{gain / found.starting_balance:+.2%}", f"{gain:+,.2f} {unit}"),
        ("Trades", f"{len(found.trades):,}", f"{won:,} with a gain"),
        ("In a position", f"{found.in_position_share:.1%}", "of the pairs' seconds"),
        ("Not tradable", f"{found.untradable_share:.2%}", "of the pairs' seconds"),
        ("Entry events", f"{found.events:,}", "on this market"),
        ("Events on noise", f"{found.noise_events:,}", "the same seconds shuffled"),
    )
    span = f"{found.stop - found.start:,} seconds of {len(found.pairs)} pairs ({found.trading_mode})"
    says = [
        f"{span}, {decided(found)}; {found.starting_balance:,.2f} {unit} at the start.",
        assumptions(found),
        *found.notes,
        "A backtest says what rules would have done with past prices at assumed fills. It promises nothing.",
    ]
    shown_tiles = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in tiles
    )
    return ["<dl>", *shown_tiles, "</dl>", "<ul>", *(f"<li>{escape(text)}</li>" for text in says), "</ul>"]


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
    trades = [trade for trade in found.trades if trade.pair == pair]
    bands = [Band(trade.opened, trade.closed, DIRECTION_COLOURS[trade.direction]) for trade in trades]
    bands = bands if len(bands) <= MOST_BANDS else []
    marks = [mark for trade in trades for mark in _marks(trade)]
    price = time_chart(
        "Price: entries (triangles, green long, red short) and exits (rings, green with a gain)",
        (Line("price", time, frame["close"].to_numpy(), INK),),
        marks,
        bands,
        height=240,
    )
    flows = [
        time_chart(
            f"{name} CVD since the start, quote currency",
            (Line(name, time, frame[column].cumsum().to_numpy(), colour),),
            (),
            bands,
            height=120,
        )
        for name, column, colour in (("Spot", "spot_delta", TEAL), ("Perpetual", "perp_delta", OCHRE))
    ]
    scores = _score_chart([trade for trade in trades if trade.event is not None], run.source.params.min_score)
    return f"<h2>{escape(pair)}</h2>{price}{''.join(flows)}{scores}"


def _marks(trade: TradeLine) -> tuple[Mark, Mark]:
    side = "long" if trade.direction > 0 else "short"
    left = DIRECTION_COLOURS[1 if trade.profit_quote > 0 else -1]
    why = f"{trade.exit_reason} {shown(trade.closed)}, {trade.profit_ratio:+.2%}"
    return (
        Mark(
            trade.opened,
            trade.open_rate,
            DIRECTION_COLOURS[trade.direction],
            trade.direction > 0,
            f"{side} {shown(trade.opened)}",
        ),
        Mark(trade.closed, trade.close_rate, left, up=False, text=why, hollow=True),
    )


def _score_chart(trades: Sequence[TradeLine], min_score: float) -> str:
    """The parts of each trade's score as a stack, and the values behind them as a table."""
    known = [(trade, trade.event) for trade in trades[:MOST_TRADES] if trade.event is not None]
    if not known:
        return ""
    layers = [
        Layer(name.removeprefix("score_"), [event.values[name] for _, event in known], colour)
        for name, colour in PARTS.items()
    ]
    rows = [
        [
            _brief(event.second),
            *(f"{event.values[name]:.2f}" for name in ("score", *PARTS, *BEHIND)),
            f"{trade.profit_ratio:+.2%}",
        ]
        for trade, event in known
    ]
    head = ["decided (UTC)", "score", *(layer.name for layer in layers), *BEHIND.values(), "result"]
    title = f"Score of each trade ({min_score:g} enters)"
    return stack_chart(title, layers, min_score) + _folded(f"{len(rows)} scores in figures", head, rows)


def _groups(found: Summary) -> list[str]:
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
            bar_chart(
                title,
                [f"{name} ({counts[name]})" for name in names],
                [sums[name] for name in names],
                f"{{:+,.2f}} {found.stake_currency}",
            )
        )
    return ["<h2>Durations and groups</h2>", _durations(found.trades), *charts]


def _durations(trades: Sequence[TradeLine]) -> str:
    edges = [edge for edge, _ in _HELD]
    bins = np.searchsorted(edges, [trade.held_s for trade in trades], side="right")
    names = [f"under {_HELD[0][1]}", *(f"from {name}" for _, name in _HELD)]
    return column_chart("Time held", names, np.bincount(bins, minlength=len(names)).tolist())


def _coverage_band(trade: TradeLine) -> str:
    if trade.event is None:
        return "unknown"
    least = min(trade.event.values[name] for name in COVERAGE_NAMES)
    return "complete" if least >= 1.0 else "with holes"


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
    head = ("pair", "seconds", "untradable", "first reasons", "revised volume", "events", "events on noise")
    counted = [
        (f"{line.pair}{what}", float(count))
        for line in found.pairs
        for what, count in (("", line.events), (" as noise", line.noise_events))
    ]
    names, counts = [name for name, _ in counted], [count for _, count in counted]
    return [
        "<h2>Data and noise</h2>",
        bar_chart(
            "Entry events, and in the same seconds shuffled into noise", names, counts, "{:,.0f}", QUIET
        ),
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
            "-" if trade.event is None else _brief(trade.event.second),
            _brief(trade.opened),
            _brief(trade.closed),
            f"{trade.held_s:,}",
            f"{trade.open_rate:.8g}",
            f"{trade.close_rate:.8g}",
            f"{trade.profit_quote:+.2f}",
            trade.exit_reason,
        ]
        for trade in found.trades[:MOST_TRADES]
    ]
    times = ("decided", "entered", "left", "held, s")
    head = ("pair", "side", "tier", "leverage", *times, "in at", "out at", found.stake_currency, "exit")
    more = len(found.trades) - MOST_TRADES
    note = [f'<p class="n">and {more} more, in the result file</p>'] if more > 0 else []
    return ["<h2>Trades</h2>", _folded(f"{len(rows)} trades (times in UTC)", head, rows), *note]


def _folded(title: str, head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    return f"<details><summary>{escape(title)}</summary>{_table(head, rows)}</details>"


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="w"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _brief(second: int) -> str:
    """A second without year and zone, which the head of the page says."""
    return shown(second)[5:19]


def _epoch(dates: pd.Series) -> FloatArray:
    seconds: FloatArray = pd.DatetimeIndex(dates).as_unit("s").astype("int64").to_numpy().astype(np.float64)
    return seconds
