"""Parity of trades: what a live bot entered and left beside a 1 s backtest of the same seconds.

Both are told by decisions: the entry event of a trade, the second whose decision entered it and the one whose
decision left it, so that fills, which a book and a candle give differently, do not matter. A difference
follows from a second that the bot never decided or decided too late, from a revision that the final view
knows and the bot did not, from a price that only one of them saw, or from another trade that differs.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from freqtrade.constants import Config
from freqtrade.enums import TradingMode

from squeezeflow_plugin.backtest.run import freqtrade_refusals, prepare
from squeezeflow_plugin.backtest.stepper import Rules
from squeezeflow_plugin.backtest.window import Asked
from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.phases.layout import EXIT_NAMES
from squeezeflow_plugin.phases.tags import parse_tag
from squeezeflow_plugin.provider.final_parity import COVERAGES, FinalDifference, FinalParity
from squeezeflow_plugin.provider.replay import open_recorded
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import DecisionLog, TradeEvent

ORDER_AGE_MS = 1000
"""How much later than a timely decision the bot may still order on it, milliseconds."""
TOGETHER_NS = 100_000_000
"""Seconds that are decided within so short a time were pending together, in one call of the bot's."""


@dataclass(frozen=True)
class Deal:
    """One trade as it was decided; seconds are those whose decisions caused it.

    ``event`` is the second of its entry event; ``left`` None and ``reason`` empty as long as it is open, and
    where only the end of the span closed it.
    """

    pair: str
    event: int
    direction: int
    entered: int
    left: int | None = None
    reason: str = ""

    def holds(self, second: int) -> bool:
        """Whether the pair was held when ``second`` was decided."""
        return self.entered <= second and (self.left is None or second <= self.left)


@dataclass(frozen=True)
class TradeDifference:
    """One entry or exit (``what``) of the event's trade that is not the same; None where a side has none.

    ``cause`` says why, empty where nothing explains it.
    """

    pair: str
    event: int
    what: str
    logged: str | None
    tested: str | None
    cause: str

    def __str__(self) -> str:
        why = self.cause or "nothing explains it"
        what = f"{self.pair} {self.what} of event {self.event}"
        return f"{what}: logged {self.logged}, backtest {self.tested}: {why}"


@dataclass(frozen=True)
class TradeParity:
    """``entries`` and ``exits`` that are the same in both, and the ``differences`` in order of time."""

    entries: int
    exits: int
    differences: tuple[TradeDifference, ...]

    @property
    def unexplained(self) -> tuple[TradeDifference, ...]:
        """Differences without a cause."""
        return tuple(each for each in self.differences if not each.cause)


def run_trade_parity(
    settings: Settings, config: Config, final: FinalParity, start: int, stop: int, rules: Rules
) -> TradeParity:
    """Compare the logged trades of ``[start, stop)`` with a backtest of the seconds that were decided.

    ``config`` is FreqTrade's configuration of a backtest with what the bot had; ``final`` the comparison of
    the same span's decisions. Raises what ``run_backtest`` raises, and SettingsError where the configuration
    trades spot and the bot futures, or the other way round.
    """
    with open_recorded(settings, config["exchange"]["name"], start, stop) as found:
        _check_mode(config, found.pairs)
        config["pairs"] = list(found.pairs)
        with freqtrade_refusals(), contextlib.redirect_stdout(io.StringIO()):
            run = prepare(config, settings, found.store, Asked(found.start, found.stop), rules)
            run.start()
        (results,) = run.results["strategy"].values()
        lag_s = 1 + rules.delay_s
        tested = deals_of_backtest(results["trades"], lag_s)
        # what the last seconds decide acts beyond the span
        span = (max(found.start, run.source.window.ready_from), found.stop - lag_s - 1)
        causes = Causes(found.log, settings, final, run.config["max_open_trades"])
        return compare_deals(deals_of_log(found.log.events()), tested, span, causes)


def _check_mode(config: Config, pairs: Iterable[str]) -> None:
    futures = config["trading_mode"] == TradingMode.FUTURES
    other = [pair for pair in pairs if (":" in pair) != futures]
    if other:
        raise SettingsError(
            f"the bot decided {', '.join(other)}, but trading_mode of the configuration is"
            f" {config['trading_mode']}: name the bot's own with --config; no trades are compared"
        )


def deals_of_log(events: Sequence[TradeEvent]) -> list[Deal]:
    """The trades of a decision log, one an entry order; those of nobody's decision are left out."""
    exits = {event.trade_id: event for event in events if event.kind == "exit_order"}
    found = []
    for event in events:
        if event.kind != "entry_order" or event.decision_second <= 0:
            continue
        deal = Deal(event.pair, event.decision_second, event.direction, event.second)
        left = exits.get(event.trade_id)
        found.append(deal if left is None else replace(deal, left=left.second, reason=left.tag))
    return found


def deals_of_backtest(trades: Iterable[Mapping[str, Any]], lag_s: int) -> list[Deal]:
    """The trades of a backtest's result; what is decided acts ``lag_s`` seconds later.

    A stop of FreqTrade's acts within the second that reaches it: live, that second's close showed it.
    """
    found = []
    for trade in trades:
        tag = parse_tag(trade["enter_tag"])
        if tag is None:
            continue
        opened, closed = trade["open_timestamp"] // 1000, trade["close_timestamp"] // 1000
        deal = Deal(trade["pair"], tag.second, -1 if trade["is_short"] else 1, opened - lag_s)
        reason = trade["exit_reason"]
        if reason != "force_exit":
            deal = replace(deal, left=closed - (lag_s if reason in EXIT_NAMES else 0), reason=reason)
        found.append(deal)
    return found


class Causes:
    """Says why an entry or exit of one side is not the other's; ``slots`` trades may be open, -1 for any."""

    def __init__(self, log: DecisionLog, settings: Settings, final: FinalParity, slots: float) -> None:
        self._log = log
        self._limit_ms = settings.watermark_ms + settings.decision_timeout_ms + ORDER_AGE_MS
        self._slots = slots
        self._final: dict[str, list[FinalDifference]] = {}
        for each in final.differences:
            self._final.setdefault(each.pair, []).append(each)
        self._covered_later = [each for each in final.causes if each.column in COVERAGES]

    def of_entry(self, deal: Deal, until: int, others: Sequence[Deal], *, live: bool) -> str:
        """Why the other side, whose trades are ``others``, did not enter when ``deal`` did, or at ``until``.

        ``live`` says whose the deal is.
        """
        side = "the backtest" if live else "the bot"
        late = "" if live else self.of_seconds(deal.pair, deal.event, until)
        revised = self.of_revision(deal.pair, deal.event, until) or self.of_coverage(
            deal.pair, deal.event, until
        )
        held = [other for other in others if other.holds(deal.entered)]
        same = next((other for other in held if other.pair == deal.pair), None)
        if late or revised:
            return late or revised
        if same is not None:
            return f"{side} held the pair by the trade of event {same.event}"
        return f"{side} had {len(held)} trades open" if 0 <= self._slots <= len(held) else ""

    def of_exit(self, logged: Deal, tested: Deal) -> str:
        """Why a trade that both entered was not left alike."""
        for deal in (logged, tested):
            if deal.reason and deal.reason not in EXIT_NAMES:
                return f"{deal.reason} is FreqTrade's own: it follows a price, of the book or of the candle"
        ends = [deal.left for deal in (logged, tested) if deal.left is not None]
        revised = self.of_revision(logged.pair, logged.event, max(ends))
        return revised or self.of_seconds(logged.pair, min(ends), max(ends))

    def of_revision(self, pair: str, first: int, last: int) -> str:
        """The first difference of the final view in the seconds ``first..last``, where a cause is known."""
        for each in self._final.get(pair, ()):
            if first <= each.second <= last and each.cause is not None:
                values = f"logged {each.logged}, final {each.final}"
                return f"{each.column} of {each.second} ({values}): {each.cause}"
        return ""

    def of_coverage(self, pair: str, first: int, last: int) -> str:
        """A span among the seconds ``first..last`` whose coverage only later records corrected.

        An entry needs its own second's feeds: a decision may be the same in every column where that is not.
        """
        for cause in self._covered_later:
            if cause.pair == pair and cause.second <= last and first < cause.known:
                return str(cause)
        return ""

    def of_seconds(self, pair: str, first: int, last: int) -> str:
        """The first of the seconds ``first..last`` on which the bot could not act, and why.

        It did not decide it, or too late for an order, or not alone: of seconds that were pending together
        orders stand on the newest.
        """
        rows = {row.second: row for row in self._log.read(first, last + 2, [pair])}
        for second in range(first, last + 1):
            row = rows.get(second)
            if row is None:
                return f"second {second} was not decided live"
            if row.latency_ms > self._limit_ms:
                return f"second {second} was decided {row.latency_ms:.0f} ms after its end, too late to order"
            after = rows.get(second + 1)
            if after is not None and 0 <= after.decided_ns - row.decided_ns < TOGETHER_NS:
                return f"second {second} was decided together with {second + 1}, on which the bot acted"
        return ""


def compare_deals(
    logged: Sequence[Deal], tested: Sequence[Deal], span: tuple[int, int], causes: Causes
) -> TradeParity:
    """Match the trades by pair and event; what was decided within ``span``, its stop left out, counts."""
    start, stop = span
    live = {(deal.pair, deal.event): deal for deal in logged if start <= deal.event}
    again = {(deal.pair, deal.event): deal for deal in tested if start <= deal.event}
    same: list[Deal] = []
    exits = 0
    differences: list[TradeDifference] = []
    for key in sorted(live.keys() | again.keys(), key=lambda key: (key[1], key[0])):
        one, other = live.get(key), again.get(key)
        found = list(_entry(one, other, logged, tested, stop, causes))
        if not found and one is not None and other is not None and one.entered < stop:
            same.append(one)
            ended = list(_exit(one, other, stop, causes))
            exits += not ended and one.left is not None and one.left < stop
            found += ended
        differences += found
    return TradeParity(len(same), exits, tuple(differences))


def _entry(
    live: Deal | None,
    again: Deal | None,
    logged: Sequence[Deal],
    tested: Sequence[Deal],
    stop: int,
    causes: Causes,
) -> Iterator[TradeDifference]:
    """The entry's difference, where there is one before ``stop``."""
    seconds = [None if deal is None else deal.entered for deal in (live, again)]
    known = [second for second in seconds if second is not None]
    if seconds[0] == seconds[1] or min(known) >= stop:
        return
    if again is not None and (live is None or again.entered < live.entered):
        others = [deal for deal in logged if deal is not live]
        deal, cause = again, causes.of_entry(again, max(known), others, live=False)
    else:
        assert live is not None  # noqa: S101 - one side has the trade
        others = [deal for deal in tested if deal is not again]
        deal, cause = live, causes.of_entry(live, max(known), others, live=True)
    yield TradeDifference(deal.pair, deal.event, "entry", _at(seconds[0]), _at(seconds[1]), cause)


def _exit(live: Deal, again: Deal, stop: int, causes: Causes) -> Iterator[TradeDifference]:
    """The exit's difference, where there is one before ``stop``."""
    known = [deal.left for deal in (live, again) if deal.left is not None]
    if (live.left, live.reason) == (again.left, again.reason) or min(known) >= stop:
        return
    ends = _at(live.left, live.reason), _at(again.left, again.reason)
    yield TradeDifference(live.pair, live.event, "exit", ends[0], ends[1], causes.of_exit(live, again))


def _at(second: int | None, what: str = "") -> str | None:
    return None if second is None else f"{what} at {second}".lstrip()
