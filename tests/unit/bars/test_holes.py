"""Gaps with both ends, as they shrink."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.holes import TRY_AGAIN_NS, UNHEARD, Hole, Holes, Missing, touched
from squeezeflow_plugin.market import NS_PER_SECOND

BEFORE = 30
LATER = 1 << 60


def at_ns(number: int) -> int:
    """Ten ids a second."""
    return number * NS_PER_SECOND // 10


pieces = st.tuples(st.integers(0, BEFORE - 1), st.integers(1, 4)).map(
    lambda piece: (piece[0], min(sum(piece), BEFORE) - 1)
)


@given(st.integers(0, BEFORE), st.lists(pieces, max_size=20), st.booleans())
def test_a_hole_that_begins_at_a_time_lacks_what_is_not_older_and_not_in_hand(
    begin: int, filled: list[tuple[int, int]], complete: bool
) -> None:
    holes = Holes("X:a", is_sequence=True)
    holes.miss_ids("", at_ns(begin), 0, BEFORE, at_ns(BEFORE), since_ns=0)
    (asked,) = holes.due(0)
    missing = set(range(begin, BEFORE))
    for first, newest in filled:
        holes.fill(first, newest, at_ns(newest))
        missing -= set(range(first, newest + 1))
        assert {
            each for each in range(begin, BEFORE) if holes.missing().hold(each, each, at_ns(each))
        } == missing
    lowest = min((first for first, _ in filled), default=BEFORE)
    holes.answered(asked, complete, LATER)
    if complete:  # then there is nothing before the oldest that came
        missing = {each for each in missing if each > lowest}
    assert {each for each in range(begin, BEFORE) if holes.missing().hold(each, each, at_ns(each))} == missing
    for _ in TRY_AGAIN_NS:
        holes.answered(asked, False, LATER)
    lost = holes.take_lost()
    assert len(holes) == 0
    assert sum(each.trades for each in lost) >= len({each for each in missing if each > lowest})
    assert all(each.trades == 0 for each in lost if each.reason == UNHEARD)


def test_the_seconds_between_two_times_are_the_same_in_both_orders() -> None:
    assert touched(2_900_000_000, 4_000_000_000) == touched(4_000_000_000, 2_900_000_000) == (2, 5)


@st.composite
def any_hole(draw: st.DrawFn) -> Hole:
    """They may overlap, as those that begin at a time can."""
    first, last = sorted((draw(st.integers(0, BEFORE)), draw(st.integers(0, BEFORE))))
    ends = draw(st.sampled_from(("", str(first - 1)))), at_ns(first), str(last + 1), at_ns(last + 1)
    return Hole(*ends, first, last, (0, 1), 0, 0)


@given(st.lists(any_hole(), max_size=12), st.lists(pieces, min_size=1, max_size=12), st.integers(0, BEFORE))
def test_a_trade_is_missing_exactly_where_one_of_the_holes_holds_it(
    holes: list[Hole], trades: list[tuple[int, int]], time: int
) -> None:
    missing = Missing(holes)
    for first, newest in trades:
        wanted = any(hole.holds(first, newest, at_ns(time)) for hole in holes)
        assert missing.hold(first, newest, at_ns(time)) == wanted
