"""What an earlier run did not cover, and the trades about it, against a plain search through all of them."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.spans import FAR, union
from squeezeflow_plugin.bars.uncovered import Uncovered
from squeezeflow_plugin.market import NS_PER_SECOND, Trade


def trade(at_ms: int, number: int) -> Trade:
    at_ns = at_ms * NS_PER_SECOND // 1000
    return Trade("X:a", at_ns, str(number), 1.0, 1.0, 1.0, 1, received_ns=at_ns + 1)


spans = st.tuples(st.integers(2, 30), st.integers(1, 6)).map(lambda span: (span[0], span[0] + span[1]))
times = st.lists(st.integers(0, 40_000), unique=True, max_size=30)


@given(st.lists(spans, max_size=5).map(union), times)
def test_the_trades_about_each_span_are_the_nearest_known_ones(
    covered: list[tuple[int, int]], at_ms: list[int]
) -> None:
    trades = [trade(each, number) for number, each in enumerate(at_ms)]
    uncovered = Uncovered(2, covered)
    for each in trades:
        uncovered.note(each)
    known = sorted(
        (
            each
            for each in trades
            if each.second < 2 or any(start <= each.second < stop for start, stop in covered)
        ),
        key=lambda each: each.exchange_ns,
    )
    missed = list(uncovered.missed())
    assert [each.span for each in missed] == uncovered.spans[: len(missed)]
    for span, before, after in missed:
        assert before == next((each for each in reversed(known) if each.second < span[0]), None)
        assert after == next((each for each in known if each.second >= span[1]), None)
    assert [each.after is None for each in missed] == [False] * (len(missed) - 1) + [True]


def test_liquidations_and_trades_that_were_asked_for_say_nothing() -> None:
    uncovered = Uncovered(0, [(0, 5)])
    uncovered.note(msgspec.structs.replace(trade(1500, 1), liquidation=True))
    uncovered.note(msgspec.structs.replace(trade(2500, 2), received_ns=0))
    assert list(uncovered.missed()) == [((5, FAR), None, None)]
