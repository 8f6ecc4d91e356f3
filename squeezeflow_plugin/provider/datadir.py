"""A pair's files in a folder that FreqTrade reads as its data folder, written piece by piece from rows.

FreqTrade's own layout: ``BTC_USDT-1m.feather`` for spot, ``futures/BTC_USDT_USDT-1m-futures.feather`` with
``-1h-mark`` and ``-1h-funding_rate`` beside it for futures, each an Arrow file with the columns ``date open
high low close volume`` (``date funding_rate`` for funding). Beside them lies ``BTC_USDT.npy``, the rows
themselves, float64[len(ROW_NAMES), n], to be mapped into memory.

Prices are the reference market's. There is no mark price of its own: the mark file repeats them. It and the
funding file have a row each minute (of rate 0 between two fundings), so that a time range within an
hour finds rows in both; FreqTrade joins them by time and adds the rates of a trade's life up.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
from freqtrade.misc import pair_to_filename

from squeezeflow_plugin.features.layout import CLOSE, HIGH, LOW, OPEN
from squeezeflow_plugin.provider.candles import CANDLE_COLUMNS, candle_frame
from squeezeflow_plugin.provider.final import VOLUME, FinalRows
from squeezeflow_plugin.provider.rows import ROW_NAMES

MINUTE_S = 60
FUNDING_S = 8 * 3600
LONGER = {"5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14_400}
_SECONDS_ROWS = (OPEN, HIGH, LOW, CLOSE, VOLUME)
_SCHEMA = pa.schema(
    [("date", pa.timestamp("ms", "UTC")), *((name, pa.float64()) for name in CANDLE_COLUMNS[1:])]
)
_ARROW = pa.ipc.IpcWriteOptions(compression="lz4")


def rows_path(folder: Path, pair: str) -> Path:
    """Where the pair's rows lie."""
    return folder / f"{pair_to_filename(pair)}.npy"


def candles_path(folder: Path, pair: str, timeframe: str, kind: str) -> Path:
    """Where FreqTrade looks for candles; ``kind`` is spot, futures, mark or funding_rate.

    >>> candles_path(Path("d"), "BTC/USDT", "1s", "spot").as_posix()
    'd/BTC_USDT-1s.feather'
    >>> candles_path(Path("d"), "BTC/USDT:USDT", "1h", "mark").as_posix()
    'd/futures/BTC_USDT_USDT-1h-mark.feather'
    """
    name = f"{pair_to_filename(pair)}-{timeframe}"
    return folder / f"{name}.feather" if kind == "spot" else folder / "futures" / f"{name}-{kind}.feather"


class PairWriter:
    """Writes the files of one pair for the seconds ``[start, stop)``; use it as a context, then ``finish``.

    ``funding_rate`` is the rate of each eight hours of a futures pair, None for spot.
    """

    def __init__(
        self, folder: Path, pair: str, start: int, stop: int, funding_rate: float | None = None
    ) -> None:
        self.first_priced = stop
        """The first second with a known price; ``stop`` where none has one."""
        self._folder, self._pair = folder, pair
        self._start = start
        self._funding_rate = funding_rate
        self._kind = "spot" if funding_rate is None else "futures"
        self._minutes: list[pd.DataFrame] = []
        seconds = candles_path(folder, pair, "1s", self._kind)
        seconds.parent.mkdir(parents=True, exist_ok=True)
        self._rows = np.lib.format.open_memmap(
            rows_path(folder, pair), "w+", np.float64, (len(ROW_NAMES), stop - start)
        )
        self._seconds = pa.ipc.new_file(str(seconds), _SCHEMA, options=_ARROW)

    def __enter__(self) -> PairWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seconds.close()

    def add(self, piece: FinalRows) -> None:
        """Write the next piece, which follows the last one and ends at a full minute."""
        self._rows[:, piece.first - self._start : piece.stop - self._start] = piece.values
        unknown = int(np.isnan(piece.values[CLOSE]).sum())  # unknown prices are the first ones only
        values, first = piece.values[:, unknown:], piece.first + unknown
        if values.shape[1] == 0:
            return
        self.first_priced = min(self.first_priced, first)
        dates = np.arange(first, piece.stop, dtype=np.int64) * 1000
        columns = [pa.array(dates, _SCHEMA.field("date").type)]
        columns += [pa.array(values[row]) for row in _SECONDS_ROWS]
        self._seconds.write_batch(pa.record_batch(columns, schema=_SCHEMA))
        self._minutes.append(candle_frame(values, first, MINUTE_S, limit=values.shape[1]))

    def finish(self) -> None:
        """Write what follows from the minutes: the longer candles, and mark and funding of futures."""
        self._rows.flush()
        minutes = pd.concat(self._minutes, ignore_index=True) if self._minutes else pd.DataFrame()
        if minutes.empty:
            minutes = candle_frame(np.empty((len(ROW_NAMES), 0)), 0, MINUTE_S)
        minutes = minutes[list(CANDLE_COLUMNS)]
        self._write(minutes, "1m", self._kind)
        for timeframe, seconds in LONGER.items():
            self._write(_longer(minutes, seconds), timeframe, self._kind)
        if self._funding_rate is not None:
            self._write(minutes, "1h", "mark")
            due = _epoch(minutes) % FUNDING_S == 0
            rates = np.where(due, self._funding_rate, 0.0)
            self._write(pd.DataFrame({"date": minutes["date"], "funding_rate": rates}), "1h", "funding_rate")

    def _write(self, frame: pd.DataFrame, timeframe: str, kind: str) -> None:
        frame.to_feather(candles_path(self._folder, self._pair, timeframe, kind), compression="lz4")


def _longer(minutes: pd.DataFrame, seconds: int) -> pd.DataFrame:
    """Whole candles of ``seconds`` from one-minute candles; one that is not complete is left out."""
    start = minutes["date"].dt.floor(f"{seconds}s")
    candles = minutes.groupby(start).agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
        minutes=("date", "size"),
    )
    whole = candles[candles["minutes"] == seconds // MINUTE_S].reset_index()
    return whole[list(CANDLE_COLUMNS)]


def _epoch(minutes: pd.DataFrame) -> npt.NDArray[np.int64]:
    return np.asarray(minutes["date"].dt.as_unit("s").astype("int64"))
