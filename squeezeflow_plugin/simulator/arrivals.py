"""When orders come, which side they take, how many fills they need and how large those are.

Orders arrive as a cluster process: each second has Poisson parents at uniform times, each parent a
geometric number of followers on its own side after lognormal delays (median 8 ms, reaching over seconds),
as one execution triggers the next. All fills of one order carry the same millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.simulator.episodes import MINUTE_S
from squeezeflow_plugin.simulator.profiles import SizeMixture
from squeezeflow_plugin.simulator.trades import FloatArray, IntArray

MINUTE_MS = MINUTE_S * 1000
MAX_FILLS = 300
_FOLLOWERS = 1.0
_FOLLOWER_DELAY_MS, _FOLLOWER_SPREAD = 8.0, 1.9
_MAX_PUSH_ORDERS = 32


@dataclass(frozen=True, eq=False)
class Orders:
    """Taker orders of one market and minute in time order, and their fills.

    ``at_ms`` int64[n] within the minute, ascending; ``side`` int8[n]; ``fills`` int64[n] trades of each
    order; ``quote`` float64[sum of fills] notional of each trade in quote currency, order by order.
    """

    at_ms: IntArray
    side: npt.NDArray[np.int8]
    fills: IntArray
    quote: FloatArray


def ordinary_orders(
    rng: np.random.Generator,
    orders_per_s: FloatArray,
    buy_share: FloatArray,
    fill_tail: float,
    sizes: SizeMixture,
) -> Orders:
    """A minute of the market's everyday orders; ``orders_per_s`` and ``buy_share`` float64[60], one entry a
    second.
    """
    parents = rng.poisson(orders_per_s / (1.0 + _FOLLOWERS))
    second = np.repeat(np.arange(MINUTE_S), parents)
    at = second * 1000.0 + 1000.0 * rng.random(len(second))
    side = np.where(rng.random(len(second)) < buy_share[second], 1, -1).astype(np.int8)
    followers = rng.geometric(1.0 / (1.0 + _FOLLOWERS), len(second)) - 1
    total = int(followers.sum())
    delays = _FOLLOWER_DELAY_MS * np.exp(_FOLLOWER_SPREAD * rng.standard_normal(total))
    at = np.concatenate((at, np.repeat(at, followers) + delays))
    side = np.concatenate((side, np.repeat(side, followers)))
    inside = at < MINUTE_MS  # a follower that would fall into the next minute does not come
    at, side = at[inside], side[inside]
    order = np.argsort(at)
    fills = _fill_counts(rng.random(len(at)), fill_tail)
    return Orders(at[order].astype(np.int64), side[order], fills, _fill_sizes(rng, int(fills.sum()), sizes))


def pushed_orders(rng: np.random.Generator, target: FloatArray, typical: float, fill_tail: float) -> Orders:
    """Orders that add exactly ``target`` (float64[60], quote currency, negative: sells) to the seconds'
    signed volume.

    ``typical`` is the class's sigma in quote currency: it sets how many orders share a second's target.
    Every draw but the last has a fixed shape and the last goes in time order, so a later target changes
    no earlier trade.
    """
    grid = (MINUTE_S, _MAX_PUSH_ORDERS)
    at = 1000.0 * rng.random(grid)
    shares = rng.standard_exponential(grid)
    tails = rng.random(grid)
    strength = np.abs(target) / typical
    count = np.where(strength > 0, np.minimum(2.0 + 4.0 * strength, _MAX_PUSH_ORDERS), 0).astype(np.int64)
    used = np.arange(_MAX_PUSH_ORDERS) < count[:, None]
    at = np.sort(np.where(used, at, np.inf), axis=1)
    shares = np.where(used, shares, 0.0)
    notional = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300) * np.abs(target)[:, None]
    second = np.repeat(np.arange(MINUTE_S), count)
    fills = np.minimum(_fill_counts(tails[used], fill_tail), 40)
    weights = rng.standard_exponential(int(fills.sum())) + 0.05
    starts = np.cumsum(fills) - fills
    per_order = np.add.reduceat(weights, starts) if len(fills) else weights
    quote = weights * np.repeat(notional[used] / per_order, fills)
    at_ms = (second * 1000.0 + at[used]).astype(np.int64)
    return Orders(at_ms, np.sign(target[second]).astype(np.int8), fills, quote)


def _fill_counts(uniform: FloatArray, tail: float) -> IntArray:
    """P(n >= k) = k^-tail, cut at MAX_FILLS; 1 - uniform lies in (0, 1]."""
    return np.minimum((1.0 - uniform) ** (-1.0 / tail), MAX_FILLS).astype(np.int64)


def _fill_sizes(rng: np.random.Generator, count: int, sizes: SizeMixture) -> FloatArray:
    # float32 draws are twice as fast, and sizes are rounded to lots anyway
    dust = rng.random(count, dtype=np.float32) < sizes.dust_share
    normal = rng.standard_normal(count, dtype=np.float32)
    centre = np.where(dust, np.float32(np.log(sizes.dust_median)), np.float32(np.log(sizes.median)))
    spread = np.where(dust, np.float32(sizes.dust_spread), np.float32(sizes.spread))
    return np.exp(centre + spread * normal).astype(np.float64)
