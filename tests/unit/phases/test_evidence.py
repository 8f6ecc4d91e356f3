"""Checks in numbers and in words."""

from __future__ import annotations

import math

import pytest

from squeezeflow_plugin.phases.evidence import Check, Part, Rule, Term, mirrored


def check(value: float, rule: Rule, threshold: float, slack: float = 1e-9) -> Check:
    return Check("x", value, rule, threshold, 60, 61, slack)


@pytest.mark.parametrize(
    ("value", "rule", "threshold", "quality", "text"),
    [
        (2.0, Rule.AT_LEAST, 2.0, 1.0, "x 2.00 >= 2.00"),
        (2.0 - 1e-10, Rule.AT_LEAST, 2.0, 1.0, "x 2.00 >= 2.00"),
        (1.9999, Rule.AT_LEAST, 2.0, 0.0, "x 1.9999 < 2"),
        (1e-10, Rule.ABOVE, 0.0, 0.0, "x 0.00 <= 0.00"),
        (0.75, Rule.AT_MOST, 0.75, 1.0, "x 0.75 <= 0.75"),
        (0.8, Rule.AT_MOST, 0.75, 0.0, "x 0.80 > 0.75"),
        (-0.5, Rule.BELOW, 0.0, 1.0, "x -0.50 < 0.00"),
        (0.1, Rule.SHARE, 0.5, 0.2, "x 0.10 of 0.50"),
        (9.0, Rule.SHARE, 0.5, 1.0, "x 9.00 of 0.50"),
        (5.0, Rule.SLOWER, 0.0, 0.0, "x 5.00 down from 0.00"),
        (-1.0, Rule.LEAN, 1.0, 0.0, "x -1.00 towards 1.00"),
        (math.nan, Rule.KNOWN, 0.0, 0.0, "x unknown"),
        (math.nan, Rule.AT_LEAST, 0.1, 0.0, "x unknown"),
    ],
)
def test_a_check_says_how_far_it_is_met(
    value: float, rule: Rule, threshold: float, quality: float, text: str
) -> None:
    found = check(value, rule, threshold)
    assert found.quality == quality
    assert str(found) == text


def test_raw_prices_are_compared_exactly() -> None:
    assert not check(1.0, Rule.ABOVE, 1.0, 0.0).holds
    assert check(math.nextafter(1.0, 2.0), Rule.ABOVE, 1.0, 0.0).holds


@pytest.mark.parametrize("rule", list(Rule))
def test_the_mirror_image_of_a_comparison_says_the_same(rule: Rule) -> None:
    assert mirrored(mirrored(rule)) is rule
    if mirrored(rule) is not rule:
        for value in (-1.0, 2.0 - 1e-9, 2.0, 2.0 + 1e-9, 3.0):
            assert check(value, rule, 2.0).holds == check(-value, mirrored(rule), -2.0).holds


def test_the_best_way_counts_and_a_way_is_as_good_as_its_worst_check() -> None:
    good, bad, half = (check(value, Rule.SHARE, 1.0) for value in (1.0, 0.0, 0.5))
    assert Term("t", 0.4, ((good, bad), (half,))).quality == 0.5
    assert Term("t", 0.4, ((good, half), (bad,))).checks == (good, half, bad)


def test_a_part_is_worth_nothing_behind_a_closed_gate() -> None:
    good, bad = check(1.0, Rule.AT_LEAST, 1.0), check(0.0, Rule.AT_LEAST, 1.0)
    term = Term("t", 3.5, terms=(Term("a", 0.5, ((good,),)), Term("b", 0.5, ((bad,),))))
    assert (term.most, term.quality) == (3.5, 0.5)
    assert Part("p", 1.75, term, (good,)).evaluate() == 1.75
    assert Part("p", 0.0, term, (bad,)).evaluate() == 0.0
    assert Part("p", 0.0, term, (bad,)).checks == (bad, good, bad)
