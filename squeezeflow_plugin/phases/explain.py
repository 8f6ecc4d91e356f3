"""Why a second was scored as it was: the values behind every part, and what was missing for an entry.

The engine keeps sums and maxima, not reasons, so nothing of this costs a scored second anything. Asked
about a second, ``explain`` runs the rows of its memory through the same engine and reads the answer from
the columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.features.layout import BLOCK_ROWS, EPS, WINDOW_NAMES, WINDOW_ROWS
from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.evidence import Check, Part, Rule, Term, mirrored
from squeezeflow_plugin.phases.layout import AGAINST, CANDLE_WEIGHTS, CANDLES, RESET_EXPLOSION, WICK_SHARE
from squeezeflow_plugin.phases.params import Params

PART_NAMES = ("score_reset", "score_absorption", "score_breakdown", "score_bias", "score_oi")
_ROWS = dict(zip(WINDOW_NAMES, WINDOW_ROWS, strict=True))


@dataclass(frozen=True, slots=True)
class SetupMemory:
    """The active setup: its direction, since when it stands, and the rows that it rests on (epoch seconds).

    ``newest`` is the last row with a setup of its own, ``strongest`` the one that ``divergence`` is of.
    """

    direction: int
    since: int
    newest: int
    strongest: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """A second's decision with its evidence, phase by phase.

    ``votes`` by window; ``divergence`` the checks of each window in the direction that comes nearest;
    ``setup`` None where none is active; ``exhaustion`` and ``explosion`` what either type of reset asks of
    this row; ``parts`` in the order in which they are added; ``entry`` what an entry asks, in order, empty
    as long as the row is not ready. ``last_qualified`` is the last earlier second that qualified and still
    bars a new event, ``last_event`` the second of the entry that is held; None where there is none.
    """

    decision: Decision
    params: Params
    votes: dict[str, tuple[Check, ...]]
    divergence: dict[str, tuple[Check, ...]]
    setup: SetupMemory | None
    exhaustion: tuple[Check, ...]
    explosion: tuple[Check, ...]
    parts: tuple[Part, ...]
    entry: tuple[Check, ...]
    last_qualified: int | None
    last_event: int | None
    rows: int

    @property
    def score_before_clip(self) -> float:
        """The sum of the parts, added as the engine adds them."""
        total = 0.0
        for part in self.parts:
            total += part.points
        return total


def explain(flow: Flow, params: Params | None = None) -> Explanation:
    """The last row of ``flow`` explained; it should have ``params.warmup_rows`` rows, as far as they exist.

    Raises EngineError for an empty flow.
    """
    if len(flow) == 0:
        raise EngineError("there is no row to explain")
    view = _View(flow, Params() if params is None else params)
    decision = view.decision
    ready = decision.ready
    setup = _setup_memory(view) if decision.setup else None
    return Explanation(
        decision,
        view.params,
        {window: _vote(view, window) for window in ("15m", "30m", "1h")},
        {window: _divergence(view, window) for window in ("15m", "30m")},
        setup,
        _exhaustion(view) if setup else (),
        _explosion(view) if setup else (),
        _parts(view) if setup else (),
        _entry(view) if ready else (),
        _last_qualified(view) if ready else None,
        _last_event(view) if ready else None,
        len(flow),
    )


class _View:
    """The columns of every row, read backwards from the last one."""

    def __init__(self, flow: Flow, params: Params) -> None:
        self.flow, self.params = flow, params
        self.columns = Engine(params, memory=True).run(flow)
        ready = len(flow) >= params.warmup_rows
        self.decision = self.columns.at(-1) if ready else Engine(params).run(flow).at(-1)
        self.second = self.decision.second

    def at(self, name: str, back: int = 0) -> float:
        """The value ``back`` rows before the last one; the first row's where there are fewer."""
        return float(self.columns.column(name)[max(len(self.flow) - 1 - back, 0)])

    def tail(self, name: str, rows: int) -> FloatArray:
        """The last ``rows`` values, or what there is of them."""
        return self.columns.column(name)[-rows:]

    def window(self, rows: int, back: int = 0) -> tuple[int, int]:
        """The seconds ``[start, stop)`` of the ``rows`` rows that end ``back`` rows before the last one."""
        stop = self.second + 1 - back
        return stop - rows, stop

    def check(self, name: str, rule: Rule, threshold: float, rows: int, sign: int = 1) -> Check:
        """A column of the last row against a threshold; a ``sign`` of -1 asks for the mirror image."""
        return Check(
            name,
            self.at(name),
            rule if sign > 0 else mirrored(rule),
            threshold if sign > 0 else -threshold,
            *self.window(rows),
        )


def _vote(view: _View, window: str) -> tuple[Check, ...]:
    """Phase 1: what the window's vote in the direction of its price move asks for."""
    rows = _ROWS[window]
    sign = 1 if view.at(f"z_r_{window}") >= 0 else -1
    lead = view.at(f"z_spot_{window}") - view.at(f"z_perp_{window}")
    return (
        view.check(f"z_r_{window}", Rule.AT_LEAST, view.params.ctx_threshold, rows, sign),
        Check(f"lead_{window}", lead, Rule.ABOVE if sign > 0 else Rule.BELOW, 0.0, *view.window(rows)),
    )


def _divergence(view: _View, window: str) -> tuple[Check, ...]:
    """Phase 2: what the window's own setup asks for, in the direction that it comes nearest to."""
    params, rows = view.params, _ROWS[window]
    sign = 1 if view.at(f"z_spot_{window}") >= view.at(f"z_perp_{window}") else -1
    return (
        view.check(f"z_spot_{window}", Rule.AT_LEAST, params.div_threshold, rows, sign),
        view.check(f"z_perp_{window}", Rule.AT_MOST, -params.div_threshold, rows, sign),
        view.check(f"z_r_{window}", Rule.AT_LEAST, -params.price_threshold, rows, sign),
        view.check(f"activity_spot_{window}", Rule.AT_LEAST, params.min_activity, rows),
        view.check(f"activity_perp_{window}", Rule.AT_LEAST, params.min_activity, rows),
    )


def _setup_memory(view: _View) -> SetupMemory:
    direction, ttl = view.decision.setup, view.params.setup_ttl
    own, strength = _own_setups(view, ttl)
    same = np.flatnonzero(own == direction)
    first = view.second + 1 - len(own)
    standing = view.columns.column("setup") == direction
    broken = np.flatnonzero(~standing)
    since = int(view.columns.second[int(broken[-1]) + 1 if len(broken) else 0])
    strongest = int(same[np.argmax(strength[same])])
    return SetupMemory(direction, since, first + int(same[-1]), first + strongest)


def _own_setups(view: _View, rows: int) -> tuple[FloatArray, FloatArray]:
    """Direction and strength of the own setup of each of the last ``rows`` rows."""
    params = view.params
    limit, least = params.div_threshold - EPS, params.min_activity - EPS
    found = []
    for window in ("15m", "30m"):
        spot, perp, r = (view.tail(f"z_{name}_{window}", rows) for name in ("spot", "perp", "r"))
        alive = (view.tail(f"activity_spot_{window}", rows) >= least) & (
            view.tail(f"activity_perp_{window}", rows) >= least
        )
        up = (spot >= limit) & (perp <= -limit) & (r >= -params.price_threshold - EPS)
        down = (spot <= -limit) & (perp >= limit) & (r <= params.price_threshold + EPS)
        side = np.where(alive, up.astype(np.float64) - down.astype(np.float64), 0.0)
        found.append((side, np.minimum(np.abs(spot), np.abs(perp))))
    (short, strength), (longer, strength_longer) = found
    takes = (longer != 0) & ((short == 0) | (strength_longer > strength + EPS))
    return np.where(takes, longer, short), np.where(takes, strength_longer, strength)


def _exhaustion(view: _View) -> tuple[Check, ...]:
    """Phase 3: what a reset of type A asks of this row."""
    retrace = view.check("retrace", Rule.AT_LEAST, view.params.retrace_threshold, _ROWS["15m"])
    return (retrace, *_stalled(view))


def _stalled(view: _View) -> tuple[Check, ...]:
    params, five = view.params, view.window(BLOCK_ROWS)
    return (
        Check("|z_r_5m|", abs(view.at("z_r_5m")), Rule.AT_MOST, params.stall_threshold, *five),
        Check("vol_5m", view.at("vol_5m"), Rule.ABOVE, 0.0, *five),
        Check("vol_5m", view.at("vol_5m"), Rule.AT_MOST, params.vol_ratio * view.at("vol_30m"), *five),
    )


def _explosion(view: _View) -> tuple[Check, ...]:
    """Phase 3: what a reset of type B asks of this row."""
    params, sign = view.params, view.decision.setup
    largest, row = _largest_retrace(view, params.explosion_memory)
    return (
        Check("retrace", largest, Rule.AT_LEAST, params.retrace_threshold, row, row + 1),
        view.check("z_r_5m", Rule.AT_LEAST, params.explosion_threshold, BLOCK_ROWS, sign),
        view.check("z_spot_5m", Rule.ABOVE, 0.0, BLOCK_ROWS, sign),
    )


def _largest_retrace(view: _View, rows: int) -> tuple[float, int]:
    """The largest retrace with this setup among the last rows, and its second."""
    same = view.tail("setup", rows) == view.decision.setup
    values = np.where(same, view.tail("retrace", rows), -1.0)
    place = int(np.argmax(values))
    return float(values[place]), view.second + 1 - len(values) + place


def _parts(view: _View) -> tuple[Part, ...]:
    """Phase 4: every part with its evidence."""
    candles = [_candle(view, k) for k in range(CANDLES)]
    gate = view.check("reset_active", Rule.AT_LEAST, 1.0, view.params.reset_ttl)
    terms = (_reset_term(view), _absorption_term(view, candles), _breakdown_term(view, candles))
    return tuple(
        Part(name, float(getattr(view.decision, name)), term, (gate,) if name == "score_reset" else ())
        for name, term in zip(PART_NAMES, (*terms, _bias_term(view), _oi_term(view)), strict=True)
    )


def _reset_term(view: _View) -> Term:
    params = view.params
    _, row = _largest_retrace(view, params.reset_ttl)
    peak = Check("retrace_peak", view.decision.retrace_peak, Rule.SHARE, params.retrace_full, row, row + 1)
    memory = view.window(params.reset_ttl)
    exploded = Check(
        "reset_active", view.decision.reset_active, Rule.AT_LEAST, float(RESET_EXPLOSION), *memory
    )
    speed, earlier = (
        abs(view.at("z_spot_5m", back)) + abs(view.at("z_perp_5m", back)) for back in (0, BLOCK_ROWS)
    )
    slower = Check("speed", speed, Rule.SLOWER, earlier, *view.window(2 * BLOCK_ROWS))
    return Term(
        "reset",
        float(params.weights[0]),
        terms=(
            Term("given back", 0.5, ((peak,),)),
            Term("deceleration", 0.3, ((exploded,), (slower,))),
            Term("stalled", 0.2, ((exploded,), _stalled(view))),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Candle:
    """Trailing candle seen from the setup's side; ``absorbed`` and ``busy`` are checks of their own."""

    start: int
    stop: int
    wick: float
    body: Check
    broken: Check
    regained: Check
    volume: float
    flow: float

    @property
    def attempt(self) -> bool:
        return self.broken.holds and self.regained.holds


def _candle(view: _View, k: int) -> _Candle:
    flow, side = view.flow, view.decision.setup
    end = len(flow) - 1 - k * BLOCK_ROWS
    before = end - BLOCK_ROWS
    rows = slice(before + 1, end + 1)
    opening, close = float(flow.close[before]), float(flow.close[end])
    low, high = min(float(flow.low[rows].min()), opening), max(float(flow.high[rows].max()), opening)
    span = view.window(BLOCK_ROWS, k * BLOCK_ROWS)
    back = (k + 1) * BLOCK_ROWS
    if side > 0:
        wick, edge, reach = _log_ratio(min(opening, close), low), view.at("range_low", back), low
        rules = Rule.ABOVE, Rule.BELOW
    else:
        wick, edge, reach = _log_ratio(high, max(opening, close)), view.at("range_high", back), high
        rules = Rule.BELOW, Rule.ABOVE
    volumes = (flow.spot_buy, flow.spot_sell, flow.perp_buy, flow.perp_sell)
    return _Candle(
        *span,
        wick / _log_ratio(high, low) if high > low else 0.0,
        Check(f"candle {k} close", close, rules[0], opening, *span, 0.0),
        Check(f"candle {k} {'low' if side > 0 else 'high'}", reach, rules[1], edge, *span, 0.0),
        Check(f"candle {k} close", close, rules[0], edge, *span, 0.0),
        math.fsum(float(each[rows].sum()) for each in volumes),
        abs(view.at("u_spot_5m", k * BLOCK_ROWS)) + abs(view.at("u_perp_5m", k * BLOCK_ROWS)),
    )


def _log_ratio(later: float, earlier: float) -> float:
    return math.log1p((later - earlier) / earlier)


def _absorption_term(view: _View, candles: list[_Candle]) -> Term:
    mean = sum(candle.volume / CANDLES for candle in candles)
    terms = []
    for k, (candle, weight) in enumerate(zip(candles, CANDLE_WEIGHTS, strict=True)):
        span = candle.start, candle.stop
        wick = Check(f"candle {k} wick", candle.wick, Rule.AT_LEAST, WICK_SHARE, *span)
        traded = Check(f"candle {k} volume", candle.volume, Rule.ABOVE, 0.0, *span, EPS * mean)
        busy = Check(f"candle {k} volume", candle.volume, Rule.AT_LEAST, mean, *span, EPS * mean)
        leaves = (
            Term("absorbed", 0.5, ((wick,),)),
            Term("body", 0.3, ((candle.body,),)),
            Term("busy", 0.2, ((traded, busy),)),
        )
        terms.append(Term(f"candle {k}", weight, terms=leaves))
    return Term("absorption", float(view.params.weights[1]), terms=tuple(terms))


def _breakdown_term(view: _View, candles: list[_Candle]) -> Term:
    """Attempts count by their candles' checks; their newest against their oldest flow says if it dries up."""
    tried = [candle for candle in candles if candle.attempt]
    span = candles[-1].start, candles[0].stop
    attempts = Check("attempts", float(len(tried)), Rule.SHARE, 2.0, *span)
    newest, oldest = (tried[0].flow, tried[-1].flow) if tried else (0.0, 0.0)
    weaker = (
        Check("attempts", float(len(tried)), Rule.AT_LEAST, 2.0, *span),
        Check("newest flow", newest, Rule.BELOW, oldest, *span, EPS * 0.5 * (newest + oldest)),
    )
    terms = (Term("attempts", 0.6, ((attempts,),)), Term("weaker", 0.4, (weaker,)))
    seen = tuple((candle.broken, candle.regained) for candle in candles)
    return Term("breakdown", float(view.params.weights[2]), terms=(*terms, Term("candles", 0.0, seen)))


def _bias_term(view: _View) -> Term:
    sign = view.decision.setup
    lean = Check("context", sign * view.decision.context, Rule.LEAN, 1.0, *view.window(_ROWS["1h"]))
    return Term(
        "bias",
        float(view.params.weights[3]),
        terms=(
            Term("spot", 0.4, ((view.check("z_spot_5m", Rule.ABOVE, 0.0, BLOCK_ROWS, sign),),)),
            Term("price", 0.3, ((view.check("z_r_5m", Rule.ABOVE, 0.0, BLOCK_ROWS, sign),),)),
            Term("context", 0.3, ((lean,),)),
        ),
    )


def _oi_term(view: _View) -> Term:
    """Steps of -1, 0.5, 1.5 and 2 points, written as what each threshold adds."""
    change, hour = float(view.flow.oi_change[-1]), view.window(_ROWS["1h"])
    known = Term("known", -1.0, ((Check("oi_change", change, Rule.KNOWN, 0.0, *hour),),))
    if math.isnan(change):
        return Term("open interest", 1.0, terms=(known,))
    steps = [
        Term(name, points, ((Check("oi_change", change, rule, limit, *hour),),))
        for name, points, rule, limit in (
            ("rises", 1.5, Rule.ABOVE, 0.0),
            ("by 5 %", 1.0, Rule.AT_LEAST, 0.05),
            ("by 10 %", 0.5, Rule.AT_LEAST, 0.10),
        )
    ]
    return Term("open interest", 1.0, terms=(known, *steps))


def _entry(view: _View) -> tuple[Check, ...]:
    """Phase 4 to entry: what a qualifying row asks, in order."""
    decision, params = view.decision, view.params
    here = view.window(1)
    return (
        Check("setup", abs(decision.setup), Rule.AT_LEAST, 1.0, *view.window(params.setup_ttl)),
        Check("reset_active", decision.reset_active, Rule.AT_LEAST, 1.0, *view.window(params.reset_ttl)),
        Check("score", decision.score, Rule.AT_LEAST, params.min_score, *here),
        Check("context", decision.setup * decision.context, Rule.ABOVE, -AGAINST, *view.window(_ROWS["1h"])),
    )


def _last_qualified(view: _View) -> int | None:
    """The last second before this one that bars a new event, None where none does."""
    every, rearm = view.params.decide_every, view.params.rearm_rows
    seconds = view.columns.second[-rearm - 1 : -1]
    qualified = (view.tail("eligible", rearm + 1)[:-1] != 0) & ((seconds + 1) % every == 0)
    rows = np.flatnonzero(qualified)
    return int(seconds[rows[-1]]) if len(rows) else None


def _last_event(view: _View) -> int | None:
    """The second of the event whose entry is held at the last row."""
    rows = np.flatnonzero(view.tail("event", view.params.hold_rows))
    return view.second + 1 - view.params.hold_rows + int(rows[-1]) if len(rows) else None
