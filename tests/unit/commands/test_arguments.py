"""Arguments are read exactly or refused by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from squeezeflow_plugin.commands.arguments import moment, port, positive, rate, timerange


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (timerange, "20260101", "must be START-STOP"),
        (timerange, "20261301-", "must be epoch seconds or YYYYMMDD, was '20261301'"),
        (timerange, "soon-later", "was 'soon'"),
        (moment, "noon", "must be epoch seconds or a time"),
        (positive, "0", "must be at least 1, was 0"),
        (positive, "x", "must be a whole number, was 'x'"),
        (port, "65536", r"must be in 0\.\.65535, was 65536"),
        (port, "-1", r"must be in 0\.\.65535, was -1"),
        (rate, "0", "must be a number above 0, was '0'"),
        (rate, "nan", "must be a number above 0, was 'nan'"),
        (rate, "inf", "must be a number above 0, was 'inf'"),
        (rate, "many", "must be a number above 0, was 'many'"),
    ],
)
def test_what_cannot_be_read_is_said(read: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        read(text)


def test_ends_of_ranges_are_taken() -> None:
    assert [port("0"), port("65535"), positive("1"), rate("0.5")] == [0, 65535, 1, 0.5]


def test_a_moment_without_a_zone_is_utc() -> None:
    assert moment("2026-01-01T00:00:00") == moment("2026-01-01T01:00:00+01:00") == 1767225600
