"""Digests of rows: equal for equal inputs, another one for each input that changes."""

from __future__ import annotations

import math

from squeezeflow_plugin.features.flow import FlowRow
from squeezeflow_plugin.provider.digest import input_digest

ROW = FlowRow(1_700_000_000, 10.0, 11.0, 9.0, 10.5, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 1.0, 0.25)


def test_each_input_counts() -> None:
    digests = {input_digest(ROW)}
    for name in FlowRow._fields:
        digests.add(input_digest(ROW._replace(**{name: getattr(ROW, name) + 1})))
    assert len(digests) == 1 + len(FlowRow._fields)


def test_a_float_holds_it_exactly() -> None:
    for second in range(2_000):
        digest = input_digest(ROW._replace(time=second))
        assert digest == int(digest)
        assert 0 <= digest < 2**48


def test_one_unknown_is_as_good_as_another() -> None:
    unknown = ROW._replace(oi_change=math.nan)
    assert input_digest(unknown) == input_digest(unknown._replace(oi_change=-math.nan))
    assert input_digest(unknown) != input_digest(ROW)
