"""What a run came to, as plain values: for the terminal, for JSON and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from squeezeflow_plugin.backtest.stepper import SecondsBacktesting
from squeezeflow_plugin.phases.sizing import tier_of
from squeezeflow_plugin.phases.tags import parse_tag
from squeezeflow_plugin.provider.decisions import Event


@dataclass(frozen=True)
class TradeLine:
    """One trade: seconds are epoch seconds, ``profit_quote`` is in the stake currency after fees.

    ``event`` is its entry event's decision, None for a trade that is nobody's event.
    """

    pair: str
    direction: int
    tier: str
    leverage: float
    opened: int
    closed: int
    open_rate: float
    close_rate: float
    profit_ratio: float
    profit_quote: float
    exit_reason: str
    event: Event | None

    @property
    def held_s(self) -> int:
        return self.closed - self.opened


@dataclass(frozen=True)
class PairLine:
    """One pair's seconds: decided ones, tradable ones, first reasons otherwise, events, events on noise.

    ``revised_share`` is the share of its volume that lies in bars written again after their second.
    """

    pair: str
    decided: int
    tradable: int
    vetoes: Mapping[str, int]
    events: int
    noise_events: int
    revised_share: float

    @property
    def untradable_share(self) -> float:
        return 1 - self.tradable / self.decided if self.decided else 1.0


@dataclass(frozen=True)
class Summary:
    """A whole run. ``notes`` are sentences on what the run could not know.

    ``decide_every`` is 1 where each second is a decision, 300 in the regular mode.
    """

    strategy: str
    stake_currency: str
    starting_balance: float
    final_balance: float
    trading_mode: str
    start: int
    stop: int
    decide_every: int
    seconds_seen: int
    delay_s: int
    slippage: float
    fee: float
    trades: tuple[TradeLine, ...]
    pairs: tuple[PairLine, ...]
    notes: tuple[str, ...]

    @property
    def events(self) -> int:
        return sum(line.events for line in self.pairs)

    @property
    def noise_events(self) -> int:
        return sum(line.noise_events for line in self.pairs)

    @property
    def untradable_share(self) -> float:
        decided = sum(line.decided for line in self.pairs)
        return 1 - sum(line.tradable for line in self.pairs) / decided if decided else 1.0

    @property
    def in_position_share(self) -> float:
        """The share of the pairs' seconds that lie within a trade."""
        span = (self.stop - self.start) * len(self.pairs)
        return sum(line.held_s for line in self.trades) / span if span else 0.0


def summary_of(run: SecondsBacktesting) -> Summary:
    """The summary of a finished run of one strategy."""
    name = run.strategylist[0].get_strategy_name()
    found = run.results["strategy"][name]
    window = run.source.window
    return Summary(
        strategy=name,
        stake_currency=run.config["stake_currency"],
        starting_balance=float(found["starting_balance"]),
        final_balance=float(found["final_balance"]),
        trading_mode=run.trading_mode.value,
        start=window.start,
        stop=window.stop,
        decide_every=run.source.params.decide_every,
        seconds_seen=run.counts.seconds_seen,
        delay_s=run.rules.delay_s,
        slippage=run.rules.slippage,
        fee=float(run.fee),
        trades=tuple(_trade_line(run, item) for item in found["trades"]),
        pairs=tuple(_pair_line(run, pair) for pair in run.decisions),
        notes=_notes(run),
    )


def _trade_line(run: SecondsBacktesting, item: Mapping[str, Any]) -> TradeLine:
    tag = parse_tag(item["enter_tag"])
    return TradeLine(
        pair=item["pair"],
        direction=-1 if item["is_short"] else 1,
        tier="" if tag is None else tier_of(tag.score).name,
        leverage=float(item["leverage"]),
        opened=int(item["open_timestamp"]) // 1000,
        closed=int(item["close_timestamp"]) // 1000,
        open_rate=float(item["open_rate"]),
        close_rate=float(item["close_rate"]),
        profit_ratio=float(item["profit_ratio"]),
        profit_quote=float(item["profit_abs"]),
        exit_reason=item["exit_reason"],
        event=None if tag is None else run.decisions[item["pair"]].events.get(tag.second),
    )


def _pair_line(run: SecondsBacktesting, pair: str) -> PairLine:
    tally, traded = run.decisions[pair].tally, run.counts.traded_quote.get(pair, 0.0)
    return PairLine(
        pair=pair,
        decided=tally.decided,
        tradable=tally.tradable,
        vetoes=dict(tally.vetoes or {}),
        events=tally.events,
        noise_events=run.noise[pair].events if pair in run.noise else 0,
        revised_share=run.counts.revised_quote.get(pair, 0.0) / traded if traded else 0.0,
    )


def _notes(run: SecondsBacktesting) -> tuple[str, ...]:
    window, notes = run.source.window, []
    if window.ready_from > window.start:
        notes.append(
            f"The store begins too late to warm up the first {window.ready_from - window.start} seconds: "
            "nothing is entered in them."
        )
    if run.exchange.markets_from_store:
        notes.append(
            f"{run.exchange.name} could not be reached: markets are those of the store, without limits of "
            "order size, and fees those of ccxt's table."
        )
    if run.trading_mode.value == "futures":
        notes.append(
            f"Funding is not in the store: {run.funding_rate:g} each eight hours is paid "
            "(futures_funding_rate), and the perpetual's own price stands for the mark price."
        )
    return tuple(notes)
