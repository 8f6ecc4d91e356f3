"""The market itself: one asset's spot and perpetual trades, minute after minute, from a seed.

A minute is a pure function of (profile, seed, state before it, script); the state after it goes into the
next. The random streams are named by (seed, asset, minute, purpose), so nothing depends on when or how
often a minute is made, and within a minute nothing before the second R depends on what the script does
from R on (see ``episodes``).

The efficient price walks on a grid of 100 ms: its steps follow the imbalance of arriving orders of both
markets (the recordings show a correlation of 0.4 to 0.6 between a second's flow and its return) and
chance. The perpetual's price adds a basis that wanders by a basis point. A buyer pays the first tick
above the price, a seller gets the tick below, and an order of n fills walks sqrt(n) steps through the
book.

Activity varies over half a minute, over ten minutes and with the hour, and falls to an eighth in quiet
stretches (never so far that a market is silent for a minute). Spot and perpetual orders share one flow,
as in the recordings (correlation of the seconds' signed volume 0.16 and 0.60), so that chance alone
rarely sets them against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter

import numpy as np

from squeezeflow_plugin.simulator.arrivals import MINUTE_MS, Orders, ordinary_orders, pushed_orders
from squeezeflow_plugin.simulator.episodes import MINUTE_S, Push, Script
from squeezeflow_plugin.simulator.profiles import AssetProfile, MarketProfile
from squeezeflow_plugin.simulator.trades import AssetMinute, FloatArray, IntArray, MarketTrades, no_trades

_CELL_MS = 100
_CELLS = MINUTE_MS // _CELL_MS
_SCALE_MINUTES = 60
_FAST_S, _SLOW_MIN, _FLOW_MIN, _BASIS_S = 25.0, 10.0, 10.0, 120.0
_FAST_SPREAD, _SLOW_SPREAD, _SLOW_FLOW = 0.45, 0.35, 0.05
_BASIS_SPREAD = 1e-4
_QUIET_CHANCE, _QUIET_MINUTES, _QUIET_FACTOR = 0.012, (3, 12), 0.125
_PULL = 0.6
_WEATHER, _SPOT, _PERP, _SPOT_PUSH, _PERP_PUSH, _FORCED = range(6)
_FlowOf = Callable[[Push], FloatArray]
_SPOT_FLOW, _PERP_FLOW = attrgetter("flow_spot"), attrgetter("flow_perp")


@dataclass(frozen=True)
class Walk:
    """What one market carries from minute to minute: last trade id, last price, and the trailing means by
    minute of squared signed volume and squared return of a second, newest last (at most an hour of each).
    """

    last_id: int
    close: float
    flow_squares: tuple[float, ...] = ()
    return_squares: tuple[float, ...] = ()
    untracked: float = 0.0


@dataclass(frozen=True)
class AssetState:
    """Where an asset's market stands at the start of the minute ``second``. ``anchor`` is the log price
    that a build-up holds.
    """

    second: int
    log_price: float
    spot: Walk
    perp: Walk
    fast: float = 0.0
    slow: float = 0.0
    flow: float = 0.0
    basis: float = 0.0
    quiet_minutes: int = 0
    anchor: float | None = None


@dataclass(frozen=True, eq=False)
class _Weather:
    """A minute's circumstances: activity and buy shares float64[60] a second; price noise float64[600] a
    cell.
    """

    activity: FloatArray
    spot_buys: FloatArray
    perp_buys: FloatArray
    basis: FloatArray
    noise: FloatArray


def first_state(profile: AssetProfile, second: int, price: float | None = None) -> AssetState:
    """An asset's market before its first minute, which starts at ``second`` (a multiple of 60)."""
    start = profile.price if price is None else price
    return AssetState(
        second,
        math.log(start),
        Walk(profile.spot.last_id, start),
        Walk(profile.perp.last_id, start * math.exp(profile.basis)),
    )


def next_minute(
    profile: AssetProfile, seed: int, state: AssetState, script: Script
) -> tuple[AssetMinute, AssetState]:
    """The minute that starts at ``state.second``, and the state after it."""
    streams = _Streams(seed, profile.key, state.second)
    weather, state = _weather(streams.rng(_WEATHER), profile, state)
    push = script.push(state.second)
    spot = _everyday(streams.rng(_SPOT), profile.spot, weather.activity, weather.spot_buys)
    perp = _everyday(streams.rng(_PERP), profile.perp, weather.activity, weather.perp_buys)
    path, anchor = _price_path(profile, state, weather, push, spot, perp)
    if push is None:
        spot_push = perp_push = None
    else:
        spot_push = _pushed(streams.rng(_SPOT_PUSH), profile.spot, state.spot, push.flow_spot, push.tracked)
        perp_push = _pushed(streams.rng(_PERP_PUSH), profile.perp, state.perp, push.flow_perp, push.tracked)
    spot_price, perp_price = np.exp(path), np.exp(path + np.repeat(weather.basis, _CELLS // MINUTE_S))
    spot_trades = _trades(profile.spot, state.second, spot_price, spot, spot_push, state.spot.last_id)
    perp_trades = _trades(profile.perp, state.second, perp_price, perp, perp_push, state.perp.last_id)
    minute = AssetMinute(
        state.second,
        {profile.spot.market: spot_trades, profile.perp.market: perp_trades},
        {profile.perp.market: _forced(streams.rng(_FORCED), profile.perp, state, perp_price, push)},
    )
    after = replace(
        state,
        second=state.second + MINUTE_S,
        log_price=float(path[-1]),
        anchor=anchor,
        spot=_walked(profile.spot, state.spot, state.second, spot_trades, push, _SPOT_FLOW),
        perp=_walked(profile.perp, state.perp, state.second, perp_trades, push, _PERP_FLOW),
    )
    return minute, after


@dataclass(frozen=True)
class _Streams:
    seed: int
    key: int
    second: int

    def rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.key, self.second // MINUTE_S, purpose))


@cache
def _ar_kernel(memory: float) -> tuple[FloatArray, FloatArray]:
    """For an AR(1) of unit variance: x = kernel @ shocks + decay * x0 over the 60 seconds of a minute."""
    rho = math.exp(-1.0 / memory)
    lag = np.arange(MINUTE_S)[:, None] - np.arange(MINUTE_S)[None, :]
    kernel = np.where(lag >= 0, rho ** np.maximum(lag, 0), 0.0) * math.sqrt(1.0 - rho * rho)
    return kernel, rho ** np.arange(1.0, MINUTE_S + 1)


def _ar_step(memory: float, value: float, shock: float) -> float:
    rho = math.exp(-1.0 / memory)
    return rho * value + math.sqrt(1.0 - rho * rho) * shock


def _weather(
    rng: np.random.Generator, profile: AssetProfile, state: AssetState
) -> tuple[_Weather, AssetState]:
    shocks = rng.standard_normal((5, MINUTE_S))
    noise = rng.standard_normal(_CELLS)
    slow_shock, flow_shock = rng.standard_normal(2)
    calm, length = rng.random(2)
    quiet = state.quiet_minutes - 1
    if quiet < 0 and calm < _QUIET_CHANCE:
        quiet = int(_QUIET_MINUTES[0] + length * (_QUIET_MINUTES[1] - _QUIET_MINUTES[0]))
    slow = _ar_step(_SLOW_MIN, state.slow, slow_shock)
    flow = _ar_step(_FLOW_MIN, state.flow, flow_shock)
    kernel, decay = _ar_kernel(_FAST_S)
    fast = kernel @ shocks[0] + decay * state.fast
    kernel, decay = _ar_kernel(_BASIS_S)
    basis = kernel @ shocks[1] + decay * state.basis
    hour = 2.0 * math.pi * (state.second % 86_400) / 86_400.0
    level = 0.2 * math.sin(hour - 2.2) - 0.5 * (_FAST_SPREAD**2 + _SLOW_SPREAD**2)
    activity = np.exp(level + _FAST_SPREAD * fast + _SLOW_SPREAD * slow) * (
        _QUIET_FACTOR if quiet > 0 else 1.0
    )
    shared = 0.95 * shocks[2] + _SLOW_FLOW * flow
    weather = _Weather(
        np.maximum(activity, 0.6 / min(profile.spot.orders_per_s, profile.perp.orders_per_s)),
        _share(shared + 0.4 * shocks[3]),
        _share(shared + 0.4 * shocks[4]),
        profile.basis + _BASIS_SPREAD * basis,
        noise,
    )
    after = replace(
        state, fast=float(fast[-1]), slow=slow, flow=flow, basis=float(basis[-1]), quiet_minutes=max(quiet, 0)
    )
    return weather, after


def _share(lean: FloatArray) -> FloatArray:
    """The share of buyers in a second whose flow leans by ``lean`` standard deviations."""
    return 0.5 + 0.5 * np.tanh(lean)


def _everyday(
    rng: np.random.Generator, profile: MarketProfile, activity: FloatArray, buys: FloatArray
) -> Orders:
    return ordinary_orders(rng, activity * profile.orders_per_s, buys, profile.fill_tail, profile.sizes)


def _price_path(
    profile: AssetProfile, state: AssetState, weather: _Weather, push: Push | None, spot: Orders, perp: Orders
) -> tuple[FloatArray, float | None]:
    """The log price of each cell, float64[600], and the price a build-up holds after this minute."""
    arrived = np.zeros(_CELLS)
    for orders in (spot, perp):
        weight = orders.side * np.sqrt(orders.fills)
        arrived += np.bincount(orders.at_ms // _CELL_MS, weights=weight, minlength=_CELLS)
    busy = math.sqrt(2.5 * (profile.spot.orders_per_s + profile.perp.orders_per_s))
    per_cell = math.sqrt(_CELL_MS / 1000.0)
    volatile = np.repeat(np.sqrt(weather.activity), _CELLS // MINUTE_S)
    steps = profile.volatility * (0.20 * arrived / busy + 0.50 * per_cell * volatile * weather.noise)
    if push is None:
        return state.log_price + np.cumsum(steps), None
    anchor = state.anchor
    drift = push.drift * _return_scale(profile, state.spot)
    if push.tracked[0]:
        anchor = state.log_price if anchor is None else anchor
        drift = drift - push.tracked * _PULL * (state.log_price - anchor) / MINUTE_S
    steps = steps + np.repeat(drift, _CELLS // MINUTE_S) / (_CELLS // MINUTE_S)
    return state.log_price + np.cumsum(steps), anchor if push.tracked[-1] else None


def _return_scale(profile: AssetProfile, walk: Walk) -> float:
    if not walk.return_squares:
        return profile.volatility
    return math.sqrt(sum(walk.return_squares) / len(walk.return_squares))


def _pushed(
    rng: np.random.Generator, profile: MarketProfile, walk: Walk, flow: FloatArray, tracked: FloatArray
) -> Orders:
    """The episode's own orders: its flow, and in a tracked second also the return of the last minute's
    chance.
    """
    scale = _flow_scale(profile, walk)
    target = scale * flow - tracked * walk.untracked / MINUTE_S
    return pushed_orders(rng, target, scale, profile.fill_tail)


def _flow_scale(profile: MarketProfile, walk: Walk) -> float:
    """The class's sigma in quote currency over the last hour; before anything was measured, what it should
    come to.
    """
    if walk.flow_squares:
        return math.sqrt(sum(walk.flow_squares) / len(walk.flow_squares))
    sizes = profile.sizes
    large = (1.0 - sizes.dust_share) * sizes.median * math.exp(sizes.spread**2 / 2.0)
    return 6.0 * profile.orders_per_s * large


def _trades(
    profile: MarketProfile,
    second: int,
    price: FloatArray,
    everyday: Orders,
    pushed: Orders | None,
    last_id: int,
) -> MarketTrades:
    """Orders turned into trades in time order, with ids that follow ``last_id``."""
    at_ms, ticks, lots, side = _fills(profile, price, everyday)
    if pushed is not None:
        others = _fills(profile, price, pushed)
        order = np.argsort(np.concatenate((at_ms, others[0])), kind="stable")
        at_ms, ticks, lots, side = (
            np.concatenate((mine, other))[order]
            for mine, other in zip((at_ms, ticks, lots, side), others, strict=True)
        )
    ids = np.arange(last_id + 1, last_id + 1 + len(at_ms))
    return MarketTrades(
        at_ms + second * 1000, ids, ticks, lots, side.astype(np.int8), profile.price_scale, profile.size_scale
    )


def _fills(
    profile: MarketProfile, price: FloatArray, orders: Orders
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    at_price = price[orders.at_ms // _CELL_MS]
    best = np.floor(at_price * profile.price_scale).astype(np.int64) + (orders.side > 0)
    fills = orders.fills
    starts = np.cumsum(fills) - fills
    rank = np.arange(int(fills.sum())) - np.repeat(starts, fills)
    step = 2e-6 * float(price[0]) * profile.price_scale
    side = np.repeat(orders.side, fills).astype(np.int64)
    ticks = np.repeat(best, fills) + side * (step * np.sqrt(rank)).astype(np.int64)
    per_lot = profile.size_scale / at_price
    lots = np.maximum(np.rint(orders.quote * np.repeat(per_lot, fills)), 1.0).astype(np.int64)
    return np.repeat(orders.at_ms, fills), np.maximum(ticks, 1), lots, side


def _forced(
    rng: np.random.Generator, profile: MarketProfile, state: AssetState, price: FloatArray, push: Push | None
) -> MarketTrades:
    """Liquidation orders, at most one a second; now and then one without any episode."""
    chance, at, size, way = rng.random((4, MINUTE_S))
    wanted = 0.002 * np.where(way < 0.5, -1.0, 1.0) if push is None else push.liquidations
    seconds = np.flatnonzero(chance < np.abs(wanted))
    if not len(seconds):
        return no_trades(profile.price_scale, profile.size_scale)
    scale = _flow_scale(profile, state.perp)
    at_ms = seconds * 1000 + (1000 * at[seconds]).astype(np.int64)
    at_price = price[at_ms // _CELL_MS]
    return MarketTrades(
        at_ms + state.second * 1000,
        np.arange(len(seconds)),
        np.rint(at_price * profile.price_scale).astype(np.int64),
        np.maximum(np.rint(size[seconds] * scale * profile.size_scale / at_price), 1.0).astype(np.int64),
        np.sign(wanted[seconds]).astype(np.int8),
        profile.price_scale,
        profile.size_scale,
    )


def _walked(
    profile: MarketProfile, walk: Walk, second: int, trades: MarketTrades, push: Push | None, flow: _FlowOf
) -> Walk:
    """What the market carries on after these trades."""
    bounds = np.searchsorted(trades.at_ms, (second + np.arange(1, MINUTE_S + 1)) * 1000)
    price = trades.price
    quote = np.concatenate(([0.0], np.cumsum(trades.signed_quote)))
    signed = np.diff(quote[bounds], prepend=0.0)
    closes = np.concatenate(([walk.close], price))[bounds]
    returns = np.diff(np.log(closes), prepend=math.log(walk.close))
    untracked = 0.0
    if push is not None:
        chance = signed - _flow_scale(profile, walk) * flow(push)
        untracked = walk.untracked + float((chance * push.tracked).sum())
    return Walk(
        walk.last_id + len(trades),
        float(closes[-1]),
        (*walk.flow_squares[1 - _SCALE_MINUTES :], float((signed * signed).mean())),
        (*walk.return_squares[1 - _SCALE_MINUTES :], float((returns * returns).mean())),
        untracked,
    )
