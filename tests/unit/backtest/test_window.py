"""Dates and time ranges, and what is left of them in a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from squeezeflow_plugin.backtest.window import Asked, Window, asked_range, whole_day, window_of
from squeezeflow_plugin.errors import SettingsError, StoreEmptyError
from squeezeflow_plugin.market import ClosingRecord, Instrument, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.memory import MemoryBarStore

DAY = 1_754_697_600  # 2025-08-09
SPOT = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
SETTINGS = Settings(data_dir=Path("data"))


def holding(*seconds: int) -> MemoryBarStore:
    """A store whose span is given by its first and last record."""
    store = MemoryBarStore()
    store.put_instruments([SPOT])
    store.append(ClosingRecord("main", second, (second + 1) * 10**9) for second in seconds)
    return store


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("20250809-20250810", Asked(DAY, DAY + 86_400)),
        ("20250809-20250809", Asked(DAY, DAY + 86_400)),
        ("20250809T1200-20250809T1300", Asked(DAY + 43_200, DAY + 46_800)),
        ("20250809T235950-20250810T000010", Asked(DAY + 86_390, DAY + 86_410)),
        (f"{DAY}-{DAY + 10}", Asked(DAY, DAY + 10)),
        (f"{DAY}000-", Asked(DAY, None)),
        ("-20250809", Asked(None, DAY)),
        ("-", Asked(None, None)),
    ],
)
def test_ranges(text: str, asked: Asked) -> None:
    assert asked_range(text) == asked


@pytest.mark.parametrize("date", ["2025-08-09", "20250809"])
def test_a_date_is_its_whole_day(date: str) -> None:
    assert whole_day(date) == Asked(DAY, DAY + 86_400)


@pytest.mark.parametrize("text", ["20250809", "a-b", "20251309-", "20250810-20250809", "1-2-3"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--timerange"):
        asked_range(text)


@pytest.mark.parametrize("text", ["2025-02-30", "yesterday", "20250809T1200", ""])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--date"):
        whole_day(text)


def test_an_inner_day_is_warmed_up_from_before() -> None:
    store = holding(DAY - 10_000, DAY + 200_000)
    assert window_of(store, SETTINGS, whole_day("20250809"), 7200) == Window(
        DAY, DAY + 86_400, DAY - 7200, DAY
    )


def test_an_open_range_is_all_there_is() -> None:
    store = holding(DAY + 5, DAY + 20_000)
    window = window_of(store, SETTINGS, Asked(), 7200)
    assert window == Window(DAY + 5, DAY + 20_001, DAY + 5, DAY + 5 + 7199)
    assert len(window) == 19_996


def test_a_day_that_has_not_ended_is_cut_at_the_data() -> None:
    store = holding(DAY - 86_400, DAY + 3600)
    window = window_of(store, SETTINGS, whole_day("20250809"), 7200)
    assert (window.start, window.stop) == (DAY, DAY + 3601)


def test_an_hour_across_midnight() -> None:
    store = holding(DAY - 86_400, DAY + 86_400)
    window = window_of(store, SETTINGS, Asked(DAY - 1800, DAY + 1800), 7200)
    assert (window.start, window.stop, window.ready_from) == (DAY - 1800, DAY + 1800, DAY - 1800)


@pytest.mark.parametrize("asked", [Asked(DAY - 200_000, DAY - 100_000), Asked(DAY + 10_000, None)])
def test_nothing_of_the_span_names_what_exists(asked: Asked) -> None:
    with pytest.raises(StoreEmptyError) as caught:
        window_of(holding(DAY, DAY + 9999), SETTINGS, asked, 7200)
    text = str(caught.value)
    assert "store.sqlite holds BTC from 2025-08-09 00:00:00 UTC to 2025-08-09 02:46:39 UTC" in text
    assert all(word in text for word in ("simulate --hours", "import", "collect"))


def test_an_empty_store_says_how_to_fill_it() -> None:
    with pytest.raises(
        StoreEmptyError, match=r"holds no data; get some with .squeezeflow simulate --hours 48"
    ):
        window_of(MemoryBarStore(), SETTINGS, Asked(), 7200)


def test_a_span_that_ends_while_warming_up_is_refused() -> None:
    store = holding(DAY, DAY + 7198)
    with pytest.raises(StoreEmptyError, match=r"the first decision needs 7200 seconds.* 2025-08-09 01:59:59"):
        window_of(store, SETTINGS, Asked(), 7200)
    assert len(window_of(holding(DAY, DAY + 7199), SETTINGS, Asked(), 7200)) == 7200
