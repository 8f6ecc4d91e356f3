"""A recorded trades file, moved to now and played at its own pace, behind generated history that joins it.

The file has the columns ``ts_ms price size side market trade_id`` (others are ignored): exchange time in
milliseconds, quote currency, base units, ``buy`` or ``sell`` of the taker, aggr-server's name, the
exchange's id. Rows whose ``exec_type``, where there is one, is no trade on the market are left out. Trades
keep their ids, prices and sizes; only whole seconds are added to their times. Spot
and USD-M markets are served, rows of other markets are left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from squeezeflow_plugin.errors import FrameError, SimulatorError
from squeezeflow_plugin.simulator.episodes import MINUTE_S, Episode, Script
from squeezeflow_plugin.simulator.generator import first_state
from squeezeflow_plugin.simulator.profiles import AssetProfile, MarketProfile, asset_profile
from squeezeflow_plugin.simulator.sources import GeneratedAsset
from squeezeflow_plugin.simulator.tape import Delays
from squeezeflow_plugin.simulator.trades import AssetMinute, FloatArray, IntArray, MarketTrades, concatenate

PLAYED = Delays(20.0, 20.0, 0.0)
_SPOT, _USDM = "BINANCE:", "BINANCE_FUTURES:"
_COLUMNS = ("ts_ms", "price", "size", "side", "market", "trade_id")
_EXECUTION = "exec_type"
_MARKET_EXECUTIONS = ("MARKET", "RPI", "")
_MOST_DECIMALS = 8
_FAR_ID = 10**15


@dataclass(frozen=True, eq=False)
class Recording:
    """What a file holds: trades by market in the order (time, id), and how many rows of which markets
    are not served."""

    path: Path
    trades: Mapping[str, MarketTrades]
    left_out: Mapping[str, int]

    @property
    def bases(self) -> tuple[str, ...]:
        """The assets of which both the spot and the perpetual market are there, sorted."""
        names = {market.partition(":")[2].removesuffix("usdt").upper() for market in self.trades}
        return tuple(sorted(base for base in names if set(_market_names(base)) <= self.trades.keys()))

    @property
    def first_second(self) -> int:
        """The second of the earliest served trade."""
        return min(int(trades.at_ms[0]) for trades in self.trades.values()) // 1000


def read_recording(path: Path) -> Recording:
    """Read a trades file.

    Raises FrameError, naming file, column, row and value, where it cannot be read, lacks a column or holds a
    value no trade has, and SimulatorError where it has no asset with both of its markets.
    """
    table = _Table(path)
    names = sorted(set(table.market.tolist()))
    trades, left_out = {}, {}
    for name in names:
        rows = np.flatnonzero(table.market == name)
        if name.startswith((_SPOT, _USDM)) and name.endswith("usdt"):
            trades[name] = table.trades(rows)
        else:
            left_out[name] = len(rows)
    recording = Recording(path, trades, left_out)
    if not recording.bases:
        raise SimulatorError(
            f"{path} has the markets {', '.join(names)}, but of no asset both "
            f"{_SPOT}*usdt and {_USDM}*usdt; nothing is replayed"
        )
    return recording


class _Table:
    """A file's rows that are trades, column by column, checked; remembers where the rows stood."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            table = pq.read_table(path)
        except FileNotFoundError as error:
            raise FrameError(f"{path} is not there; nothing is replayed") from error
        except (OSError, pa.ArrowException) as error:
            raise FrameError(f"{path} cannot be read as Parquet: {error}; nothing is replayed") from error
        for name in _COLUMNS:
            if name not in table.column_names:
                raise FrameError(
                    f"{path}: column {name} is missing, there are {', '.join(table.column_names)}; "
                    "nothing is replayed"
                )
        self._places = _market_executions(table)
        if not len(self._places):
            raise FrameError(f"{path} holds no trade; nothing is replayed")
        rows = table.take(self._places)
        self._columns: dict[str, npt.NDArray[Any]] = {
            name: rows[name].to_numpy(zero_copy_only=False) for name in _COLUMNS
        }
        self.price, self.size = self._positive("price"), self._positive("size")
        self.ts_ms, self.trade_id = self._whole("ts_ms"), self._whole("trade_id")
        side, self.market = self._columns["side"], self._columns["market"]
        self._check("side", np.isin(side, ("buy", "sell")), "buy or sell")
        self._check("market", np.array([isinstance(each, str) for each in self.market]), "a market's name")
        self.side = np.where(side == "buy", 1, -1).astype(np.int8)

    def trades(self, rows: IntArray) -> MarketTrades:
        """The trades of these rows, which are of one market, in the order (time, id)."""
        rows = rows[np.lexsort((self.trade_id[rows], self.ts_ms[rows]))]
        price_scale, ticks = self._units("price", self.price, rows)
        size_scale, lots = self._units("size", self.size, rows)
        at_ms, ids, side = self.ts_ms[rows], self.trade_id[rows], self.side[rows]
        return MarketTrades(at_ms, ids, ticks, lots, side, price_scale, size_scale)

    def _check(self, name: str, good: npt.NDArray[np.bool_], wanted: str) -> None:
        if not good.all():
            raise self._error(name, int(np.argmin(good)), wanted)

    def _error(self, name: str, row: int, wanted: str) -> FrameError:
        return FrameError(
            f"{self._path}: column {name}, row {self._places[row]} must be {wanted}, "
            f"was {self._columns[name][row]!r}; nothing is replayed"
        )

    def _numbers(self, name: str) -> FloatArray:
        try:
            return self._columns[name].astype(np.float64)
        except (TypeError, ValueError) as error:
            raise FrameError(
                f"{self._path}: column {name} must hold numbers: {error}; nothing is replayed"
            ) from error

    def _positive(self, name: str) -> FloatArray:
        values = self._numbers(name)
        self._check(name, np.isfinite(values) & (values > 0), "a positive number")
        return values

    def _whole(self, name: str) -> IntArray:
        values = self._numbers(name)
        self._check(name, (values >= 0) & (values == np.floor(values)) & (values < 2**62), "a whole number")
        return self._columns[name].astype(np.int64)

    def _units(self, name: str, values: FloatArray, rows: IntArray) -> tuple[int, IntArray]:
        """The fewest decimals that spell all these numbers exactly, as a scale, and them in its units."""
        values = values[rows]
        for decimals in range(_MOST_DECIMALS + 1):
            scale = 10**decimals
            units = np.rint(values * scale)
            exact = units / float(scale) == values
            if exact.all():
                return scale, units.astype(np.int64)
        raise self._error(
            name, int(rows[np.argmin(exact)]), f"spelled with {_MOST_DECIMALS} decimals at most"
        )


def _market_executions(table: pa.Table) -> IntArray:
    """The rows that are trades on the market: all, unless Binance's execution type says otherwise."""
    rows = np.arange(table.num_rows)
    if _EXECUTION not in table.column_names:
        return rows
    kinds = table[_EXECUTION].to_pylist()
    return rows[[kind is None or kind in _MARKET_EXECUTIONS for kind in kinds]]


class ReplayedAsset:
    """An asset's recorded trades from the second ``join`` on, and generated ones from ``origin`` to there.

    The generated prices are scaled so that the last one before ``join`` meets the first recorded one, and the
    generated ids end where the recorded begin. After the last recorded trade the markets are silent.
    """

    delays = PLAYED

    def __init__(self, recording: Recording, base: str, seed: int, origin: int, join: int) -> None:
        self._join_ms = join * 1000
        shift_ms = (join - recording.first_second) * 1000
        spot, perp = (_moved(recording.trades[market], shift_ms) for market in _market_names(base))
        profile = asset_profile(base)
        basis = math.log(float(perp.price[0]) / float(spot.price[0]))
        self.profile: AssetProfile = replace(
            profile, basis=basis, spot=_spelled(profile.spot, spot), perp=_spelled(profile.perp, perp)
        )
        self._recorded = {
            market.market: trades.rescaled(market.price_scale, market.size_scale)
            for market, trades in zip(self.profile.markets, (spot, perp), strict=True)
        }
        self._generated = self._joined(seed, origin)

    @property
    def second(self) -> int:
        return self._generated.second

    @property
    def episodes(self) -> tuple[Episode, ...]:
        return ()

    def advance(self) -> AssetMinute:
        minute = self._generated.advance()
        stop_ms = (minute.second + MINUTE_S) * 1000
        trades = {
            market: concatenate(
                [
                    generated.between(0, self._join_ms),
                    self._recorded[market].between(minute.second * 1000, stop_ms),
                ]
            )
            for market, generated in minute.trades.items()
        }
        forced = {market: each.between(0, self._join_ms) for market, each in minute.liquidations.items()}
        return AssetMinute(minute.second, trades, forced)

    def release(self, second: int) -> tuple[AssetMinute, ...]:  # noqa: ARG002 - nothing waits in a recording
        return ()

    def _joined(self, seed: int, origin: int) -> GeneratedAsset:
        """The generated market, run once to see where it ends and set up again so that it meets the
        recording.
        """
        trial = GeneratedAsset(self.profile, seed, first_state(self.profile, origin), Script())
        counts = dict.fromkeys(self._recorded, 0)
        price = self.profile.price
        while trial.second * 1000 < self._join_ms:
            for market, trades in trial.advance().trades.items():
                before = trades.between(0, self._join_ms)
                counts[market] += len(before)
                if market == self.profile.spot.market and len(before):
                    price = float(before.price[-1])
        first = float(self._recorded[self.profile.spot.market].price[0])
        self.profile = replace(
            self.profile,
            spot=self._numbered(self.profile.spot, counts),
            perp=self._numbered(self.profile.perp, counts),
        )
        state = first_state(self.profile, origin, self.profile.price * first / price)
        return GeneratedAsset(self.profile, seed, state, Script())

    def _numbered(self, profile: MarketProfile, counts: Mapping[str, int]) -> MarketProfile:
        """With the id before the first generated trade; far above the recorded ones where there is no room
        below.
        """
        last_id = int(self._recorded[profile.market].ids[0]) - counts[profile.market] - 1
        return replace(profile, last_id=last_id if last_id >= 0 else _FAR_ID)


def _market_names(base: str) -> tuple[str, str]:
    symbol = f"{base.lower()}usdt"
    return _SPOT + symbol, _USDM + symbol


def _moved(trades: MarketTrades, shift_ms: int) -> MarketTrades:
    return replace(trades, at_ms=trades.at_ms + shift_ms)


def _spelled(profile: MarketProfile, trades: MarketTrades) -> MarketProfile:
    """The profile with as many decimals as the recorded trades need."""
    return replace(
        profile,
        price_decimals=max(profile.price_decimals, len(str(trades.price_scale)) - 1),
        size_decimals=max(profile.size_decimals, len(str(trades.size_scale)) - 1),
    )
