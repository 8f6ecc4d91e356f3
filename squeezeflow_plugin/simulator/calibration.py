"""How a market's trades come and how large they are: for setting generated ones beside recorded ones.

All measures are of one spot and one perpetual market over the seconds in which both traded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from squeezeflow_plugin.simulator.episodes import Script, whole_minute
from squeezeflow_plugin.simulator.generator import first_state, next_minute
from squeezeflow_plugin.simulator.profiles import AssetProfile, asset_profile
from squeezeflow_plugin.simulator.replay import read_recording
from squeezeflow_plugin.simulator.trades import FloatArray, IntArray, MarketTrades, concatenate

ORIGIN = whole_minute(1_767_225_600)


@dataclass(frozen=True)
class Shape:
    """One market's measures.

    ``per_s`` trades a second; ``moments_per_s`` milliseconds with trades a second; ``same_ms`` and
    ``same_side`` the shares of trades in the millisecond, and on the side, of the one before; ``ms_p90
    ms_p99`` trades in one millisecond; ``spread_of_counts`` the variance of a second's trades over their
    mean (1 where they come by chance alone); ``size_p50 size_p90 size_p99`` notional of a trade in quote
    currency; ``tail`` the Hill estimate of the sizes' tail over their largest twentieth; ``empty`` the share
    of seconds without a trade; ``flow`` the deviation of a second's signed volume.
    """

    per_s: float
    moments_per_s: float
    same_ms: float
    same_side: float
    ms_p90: float
    ms_p99: float
    spread_of_counts: float
    size_p50: float
    size_p90: float
    size_p99: float
    tail: float
    empty: float
    flow: float


@dataclass(frozen=True)
class Comparison:
    """The measures of both markets, and the correlations between their seconds: of signed volume, and of
    volume.
    """

    spot: Shape
    perp: Shape
    flow_correlation: float
    volume_correlation: float


def measured(spot: MarketTrades, perp: MarketTrades) -> Comparison:
    """Both markets over the seconds from the later first trade to the earlier last one."""
    first = max(int(each.at_ms[0]) for each in (spot, perp)) // 1000 + 1
    last = min(int(each.at_ms[-1]) for each in (spot, perp)) // 1000
    both = [each.between(first * 1000, last * 1000) for each in (spot, perp)]
    flows = [_by_second(each, each.signed_quote, first, last) for each in both]
    volumes = [_by_second(each, each.price * each.size, first, last) for each in both]
    return Comparison(
        _shape(both[0], first, last),
        _shape(both[1], first, last),
        _correlation(*flows),
        _correlation(*volumes),
    )


def of_recording(path: Path) -> dict[str, Comparison]:
    """Of each asset of a recorded file; FrameError or SimulatorError where it cannot be used."""
    recording = read_recording(path)
    profiles = {base: asset_profile(base) for base in recording.bases}
    return {
        base: measured(recording.trades[each.spot.market], recording.trades[each.perp.market])
        for base, each in profiles.items()
    }


def beside_generated(path: Path, seed: int, minutes: int = 60) -> str:
    """The recorded assets and the same ones generated, as a table."""
    columns: dict[str, Comparison] = {}
    for base, recorded in of_recording(path).items():
        columns |= {f"{base} recorded": recorded}
        columns |= {f"{base} made": of_generator(asset_profile(base), seed, minutes)}
    return table(columns)


def of_generator(profile: AssetProfile, seed: int, minutes: int) -> Comparison:
    """Of the generated market without squeezes."""
    state, made = first_state(profile, ORIGIN), []
    for _ in range(minutes):
        minute, state = next_minute(profile, seed, state, Script())
        made.append(minute)
    spot, perp = (concatenate([m.trades[each.market] for m in made]) for each in profile.markets)
    return measured(spot, perp)


def table(columns: Mapping[str, Comparison]) -> str:
    """The comparisons side by side as text, one measure a line."""
    names = [f"{kind} {name}" for kind in ("spot", "perp") for name in Shape.__dataclass_fields__]
    names += ["flow_correlation", "volume_correlation"]
    head = f"{'measure':24}" + "".join(f"{name:>14}" for name in columns)
    rows = (f"{name:24}" + "".join(f"{_value(c, name):14.4g}" for c in columns.values()) for name in names)
    return "\n".join((head, *rows))


def _value(comparison: Comparison, name: str) -> float:
    kind, _, field = name.partition(" ")
    return float(getattr(getattr(comparison, kind), field) if field else getattr(comparison, kind))


def _by_second(trades: MarketTrades, amounts: FloatArray, first: int, last: int) -> FloatArray:
    return np.bincount(trades.at_ms // 1000 - first, amounts, last - first).astype(np.float64)


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Pearson's, of two columns that both vary."""
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def _shape(trades: MarketTrades, first: int, last: int) -> Shape:
    seconds = last - first
    counts = np.bincount(trades.at_ms // 1000 - first, minlength=seconds)
    in_ms = np.unique(trades.at_ms, return_counts=True)[1]
    sizes = np.sort(trades.price * trades.size)
    flow = _by_second(trades, trades.signed_quote, first, last)
    return Shape(
        per_s=len(trades) / seconds,
        moments_per_s=len(in_ms) / seconds,
        same_ms=_repeated(trades.at_ms),
        same_side=_repeated(trades.side.astype(np.int64)),
        ms_p90=float(np.percentile(in_ms, 90)),
        ms_p99=float(np.percentile(in_ms, 99)),
        spread_of_counts=float(counts.var() / counts.mean()),
        **{f"size_p{p}": float(np.percentile(sizes, p)) for p in (50, 90, 99)},
        tail=_hill(sizes[-max(len(sizes) // 20, 2) :]),
        empty=float(np.mean(counts == 0)),
        flow=float(flow.std()),
    )


def _repeated(values: IntArray) -> float:
    """The share of entries that equal the one before."""
    return float(np.mean(values[1:] == values[:-1]))


def _hill(largest: FloatArray) -> float:
    """The exponent of a power-law tail from the largest values, ascending: smaller is heavier.

    https://doi.org/10.1214/aos/1176343247

    >>> _hill(np.array([1.0, np.e, np.e])) == 1.0
    True
    """
    return float(1.0 / np.mean(np.log(largest[1:] / largest[0])))
