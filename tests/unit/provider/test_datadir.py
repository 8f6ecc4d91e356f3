"""FreqTrade's own loader reads back what was written, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from freqtrade.configuration import TimeRange
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType

from squeezeflow_plugin.features.layout import CLOSE, HIGH, LOW, OPEN
from squeezeflow_plugin.provider.datadir import PairWriter, rows_path
from squeezeflow_plugin.provider.final import VOLUME, FinalRows
from squeezeflow_plugin.provider.rows import ROW_NAMES

# FreqTrade's loader warns about pandas; only what it reads counts here.
pytestmark = pytest.mark.filterwarnings("ignore")

START = 1_763_643_600  # a full hour
HOURS = 3
SPOT, FUTURES = "BTC/USDT", "BTC/USDT:USDT"


def _values(seconds: int, unknown: int = 0) -> np.ndarray:
    rng = np.random.default_rng(1)
    values = rng.random((len(ROW_NAMES), seconds))
    close = 100 + np.cumsum(rng.normal(0, 0.1, seconds))
    values[OPEN : CLOSE + 1] = close, close + 0.3, close - 0.2, close
    values[OPEN : CLOSE + 1, :unknown] = np.nan
    return values


def _write(folder: Path, values: np.ndarray, pair: str, start: int, rate: float | None) -> PairWriter:
    stop = start + values.shape[1]
    with PairWriter(folder, pair, start, stop, rate) as writer:
        begin = start
        while begin < stop:
            until = min(begin // 3600 * 3600 + 3600, stop)
            writer.add(FinalRows(begin, values[:, begin - start : until - start], 1.0, 0.0))
            begin = until
        writer.finish()
    return writer


@pytest.mark.parametrize(("pair", "kind"), [(SPOT, "spot"), (FUTURES, "futures")])
def test_seconds_are_read_back_to_the_bit(tmp_path: Path, pair: str, kind: str) -> None:
    values = _values(HOURS * 3600, unknown=90)
    writer = _write(tmp_path, values, pair, START, None if kind == "spot" else 0.0001)
    assert writer.first_priced == START + 90
    frame = load_pair_history(pair, "1s", tmp_path, data_format="feather", candle_type=CandleType(kind))
    assert len(frame) == HOURS * 3600 - 90
    for name, row in (("open", OPEN), ("high", HIGH), ("low", LOW), ("close", CLOSE), ("volume", VOLUME)):
        assert frame[name].to_numpy().tobytes() == values[row, 90:].tobytes()
    assert int(frame["date"].iloc[0].timestamp()) == START + 90
    kept = np.load(rows_path(tmp_path, pair))
    assert kept.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("timeframe", "seconds"), [("1m", 60), ("5m", 300), ("15m", 900), ("30m", 1800), ("1h", 3600)]
)
def test_candles_add_their_seconds_up_and_are_whole(tmp_path: Path, timeframe: str, seconds: int) -> None:
    values = _values(HOURS * 3600 - 240, unknown=90)
    _write(tmp_path, values, SPOT, START, None)
    frame = load_pair_history(SPOT, timeframe, tmp_path, data_format="feather")
    first = -(-90 // seconds) * seconds
    count = (values.shape[1] - first) // seconds
    assert len(frame) == count
    assert int(frame["date"].iloc[0].timestamp()) == START + first
    for place, candle in enumerate(frame.itertuples()):
        part = values[:, first + place * seconds : first + (place + 1) * seconds]
        assert (candle.open, candle.close) == (part[OPEN, 0], part[CLOSE, -1])
        assert (candle.high, candle.low) == (part[HIGH].max(), part[LOW].min())
        assert candle.volume == pytest.approx(part[VOLUME].sum())


def test_futures_have_funding_at_eight_hours_and_rows_within_every_hour(tmp_path: Path) -> None:
    start = START // 86_400 * 86_400 + 7 * 3600
    _write(tmp_path, _values(2 * 3600), FUTURES, start, 0.0001)
    within = TimeRange("date", "date", start + 600, start + 1200)
    for kind in (CandleType.FUNDING_RATE, CandleType.MARK):
        found = load_pair_history(
            FUTURES, "1h", tmp_path, timerange=within, data_format="feather", candle_type=kind
        )
        assert len(found)
    rates = load_pair_history(
        FUTURES,
        "1h",
        tmp_path,
        fill_up_missing=False,
        data_format="feather",
        candle_type=CandleType.FUNDING_RATE,
    )
    due = rates[rates["funding_rate"] != 0]
    assert [int(date.timestamp()) for date in due["date"]] == [start + 3600]
    assert due["funding_rate"].tolist() == [0.0001]


def test_a_pair_that_never_traded_has_empty_files(tmp_path: Path) -> None:
    writer = _write(tmp_path, _values(3600, unknown=3600), SPOT, START, None)
    assert writer.first_priced == START + 3600
    for timeframe in ("1s", "1m", "1h"):
        assert load_pair_history(SPOT, timeframe, tmp_path, data_format="feather").empty
