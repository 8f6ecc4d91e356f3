"""Arguments are read exactly or refused by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from squeezeflow_plugin.commands.arguments import moment, positive, timerange


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (timerange, "20260101", "must be START-STOP"),
        (timerange, "20261301-", "must be epoch seconds or YYYYMMDD, was '20261301'"),
        (timerange, "soon-later", "was 'soon'"),
        (moment, "noon", "must be epoch seconds or a time"),
        (positive, "0", "must be at least 1, was 0"),
    ],
)
def test_what_cannot_be_read_is_said(read: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        read(text)


def test_a_moment_without_a_zone_is_utc() -> None:
    assert moment("2026-01-01T00:00:00") == moment("2026-01-01T01:00:00+01:00") == 1767225600
