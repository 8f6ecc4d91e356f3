"""Open interest over an hour: against a plain twin that looks at every reading, second by second."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.bars.interest import MAX_AGE_S, InterestChange, TickerBoard, interest_changes
from squeezeflow_plugin.market import NS_PER_SECOND, DerivativeTicker

MARKETS = ("X:a", "X:b")
T0 = 100_000


def ticker(market: str, second: int, usd: float, ns: int = 0) -> DerivativeTicker:
    return DerivativeTicker(market, second * NS_PER_SECOND + ns, usd / 50.0, usd, 0.0001)


def plain(known: list[tuple[int, DerivativeTicker]], second: int) -> float:
    """The sum now over the sum an hour ago, of the markets that have both."""

    def newest(market: str, at: int) -> float:
        mine = [t for k, t in known if k <= at and t.market == market and t.interest_usd > 0]
        found = max(mine, key=lambda t: t.exchange_ns, default=None)
        oldest_ns = (at + 1 - MAX_AGE_S) * NS_PER_SECOND
        return found.interest_usd if found is not None and found.exchange_ns >= oldest_ns else math.nan

    pairs = [(newest(market, second), newest(market, second - 3600)) for market in MARKETS]
    both = [(now, then) for now, then in pairs if not math.isnan(now + then)]
    return sum(now for now, _ in both) / sum(then for _, then in both) - 1.0 if both else math.nan


readings = st.lists(
    st.tuples(
        st.sampled_from((*MARKETS, "X:other")),
        st.integers(T0 - 4_500, T0 + 900),
        st.integers(0, 700 * NS_PER_SECOND),
        st.sampled_from((math.nan, 0.0, 100.0, 110.0, 250.5)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(readings)
def test_every_second_has_what_a_plain_look_at_all_readings_gives(
    drawn: list[tuple[str, int, int, float]],
) -> None:
    known = sorted(
        (
            (second, DerivativeTicker(m, (second + 1) * NS_PER_SECOND - 1 - age, 1.0, usd, 0.0))
            for m, second, age, usd in drawn
        ),
        key=lambda pair: pair[0],
    )
    change = InterestChange(MARKETS)
    place, live = 0, []
    for second in range(T0 - 4_500, T0 + 900):
        while place < len(known) and known[place][0] <= second:
            change.add(*known[place])
            place += 1
        live.append(change.at(second))
    bulk = interest_changes(MARKETS, known, T0 - 4_500, T0 + 900)
    assert np.array(live).tobytes() == bulk.tobytes()
    later = interest_changes(MARKETS, [k for k in known if k[0] >= T0 - 4_200], T0, T0 + 900)
    assert later.tobytes() == bulk[4_500:].tobytes()
    for second in range(T0 - 4_500, T0 + 900, 127):
        expected, found = plain(known, second), live[second - T0 + 4_500]
        assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_an_exchange_that_falls_silent_or_comes_new_changes_nothing() -> None:
    known = [(T0 - 3600, ticker("X:a", T0 - 3600, 100.0)), (T0 - 3600, ticker("X:b", T0 - 3600, 900.0))]
    known += [(T0, ticker("X:a", T0, 110.0))]
    assert interest_changes(MARKETS, known, T0, T0 + 1)[0] == 110.0 / 100.0 - 1.0
    assert math.isnan(interest_changes(MARKETS, known[2:], T0, T0 + 1)[0])


def test_the_board_hands_out_what_was_so_at_the_end_of_the_second() -> None:
    board = TickerBoard(30)
    for second, usd in ((70, 1.0), (89, 2.0), (91, 3.0)):
        board.put(ticker("X:a", second, usd, ns=999_999_999))
    board.put(ticker("X:a", 80, 9.0))
    assert [t.interest_usd for t in board.take(90)] == [2.0]
    assert [t.interest_usd for t in board.take(90)] == [2.0], "asking takes nothing away"
    assert board.take(91) == ()
    assert [t.interest_usd for t in board.take(120)] == [3.0]
    assert [t.interest_usd for t in board.take(690)] == [3.0]
    assert board.take(720) == (), "too old"
    assert TickerBoard(0).take(0) == ()


def test_a_board_that_is_never_asked_stays_small() -> None:
    board = TickerBoard(30)
    for second in range(3_000):
        board.put(ticker("X:a", second, 1.0))
    assert board.take(90) == (), "the readings of that time are gone"
    assert len(board.take(2_970)) == 1
