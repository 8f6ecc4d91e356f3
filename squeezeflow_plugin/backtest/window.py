"""Which seconds a backtest covers: what was asked for, cut to what the store holds, or a refusal that helps.

A date means its whole day in UTC, to the last second. A time range has FreqTrade's form ``START-STOP`` with
either end open: dates (``20250809``), minutes (``20250809T1200``), epoch seconds or milliseconds; a STOP
date is midnight, where that day begins, as FreqTrade takes it - but the same date twice is that whole day.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

from squeezeflow_plugin.errors import SettingsError, StoreEmptyError
from squeezeflow_plugin.provider.spans import HOW_TO_FILL, shown, shown_span
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore

DAY_S = 86_400
_FORMS = (
    (re.compile(r"\d{4}-\d{2}-\d{2}"), "%Y-%m-%d"),
    (re.compile(r"\d{8}"), "%Y%m%d"),
    (re.compile(r"\d{8}T\d{4}"), "%Y%m%dT%H%M"),
    (re.compile(r"\d{8}T\d{6}"), "%Y%m%dT%H%M%S"),
)


@dataclass(frozen=True)
class Asked:
    """The seconds ``[start, stop)`` that were asked for; None where that end is open."""

    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True)
class Window:
    """The seconds ``[start, stop)`` to decide, and ``read_from``, where the rows that warm it up begin.

    ``ready_from`` is the first second whose decision is warmed up; before it nothing is entered.
    """

    start: int
    stop: int
    read_from: int
    ready_from: int

    def __len__(self) -> int:
        return self.stop - self.start


def whole_day(date: str) -> Asked:
    """The day from midnight to midnight. Raises SettingsError for what is no date.

    >>> whole_day("2025-08-09")
    Asked(start=1754697600, stop=1754784000)
    """
    start = _instant(date, "--date")
    if start % DAY_S:
        raise SettingsError(f"--date must be a day (2025-08-09), was {date!r}; nothing is run")
    return Asked(start, start + DAY_S)


def asked_range(timerange: str) -> Asked:
    """The seconds that a FreqTrade time range names. Raises SettingsError where it is none.

    >>> asked_range("20250809T1200-20250809T1300")
    Asked(start=1754740800, stop=1754744400)
    >>> asked_range("20250809-20250809") == whole_day("20250809")
    True
    >>> asked_range("-20250809")
    Asked(start=None, stop=1754697600)
    """
    first, dash, last = timerange.partition("-")
    if not dash or "-" in last:
        raise SettingsError(f"--timerange must be START-STOP, was {timerange!r}; nothing is run")
    start = _instant(first, "--timerange") if first else None
    stop = _instant(last, "--timerange") if last else None
    if start is not None and start == stop and start % DAY_S == 0:
        return Asked(start, start + DAY_S)
    if start is not None and stop is not None and stop <= start:
        raise SettingsError(f"--timerange {timerange} ends before it begins; nothing is run")
    return Asked(start, stop)


def window_of(store: BarStore, settings: Settings, asked: Asked, warmup_s: int) -> Window:
    """What can be decided of the asked seconds.

    Raises StoreEmptyError, saying what exists and how to get more, where nothing can.
    """
    span = store.span()
    if span is None:
        raise StoreEmptyError(f"the store {settings.store_path} holds no data; {HOW_TO_FILL}")
    start = max(span[0], span[0] if asked.start is None else asked.start)
    stop = min(span[1], span[1] if asked.stop is None else asked.stop)
    holds = f"the store {settings.store_path} holds {_assets(store)} {shown_span(*span)}"
    if start >= stop:
        wanted = shown_span(asked.start, asked.stop)
        raise StoreEmptyError(f"{holds} and nothing of what was asked for, {wanted}; {HOW_TO_FILL}")
    read_from = max(span[0], start - warmup_s)
    ready_from = max(start, read_from + warmup_s - 1)
    if ready_from >= stop:
        raise StoreEmptyError(
            f"{holds}: the first decision needs {warmup_s} seconds of data up to it, at "
            f"{shown(ready_from)}, and the span ends at {shown(stop)}; ask for a later one, or {HOW_TO_FILL}"
        )
    return Window(start, stop, read_from, ready_from)


def _assets(store: BarStore) -> str:
    names: Iterable[str] = sorted({item.base for item in store.instruments()})
    return ", ".join(names) or "no known asset"


def _instant(text: str, option: str) -> int:
    if re.fullmatch(r"\d{10}", text):
        return int(text)
    if re.fullmatch(r"\d{13}", text):
        return int(text) // 1000
    for form, pattern in _FORMS:
        if form.fullmatch(text):
            try:
                return int(dt.datetime.strptime(text, pattern).replace(tzinfo=dt.UTC).timestamp())
            except ValueError as error:
                raise SettingsError(f"{option} {text!r} is no date: {error}; nothing is run") from error
    raise SettingsError(
        f"{option} {text!r} is neither a date (2025-08-09, 20250809, 20250809T1200) nor epoch seconds;"
        " nothing is run"
    )
