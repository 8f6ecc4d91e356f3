"""Blocks give, to the bit, the bars, revisions, counts and memory that their trades give one by one."""

from __future__ import annotations

import random
from itertools import permutations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.bars.builder import BarBuilder, Closed
from squeezeflow_plugin.bars.ticks import EMPTY, bar_of, shrink, ticks_of, unpack
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from tests.unit.bars.tapes import START, as_block, bits, tapes

SECONDS = 6


def trades_of(seed: int, count: int, market: str = "X:a", second: int = START) -> list[Trade]:
    """Trades of one second, in their order, with ids of one length."""
    rng = random.Random(seed)
    times = sorted(rng.randrange(NS_PER_SECOND) for _ in range(count))
    return [
        Trade(
            market,
            second * NS_PER_SECOND + time,
            str(5_000_000_000 + number),
            price := rng.uniform(90, 110),
            size := rng.lognormvariate(0, 2),
            price * size,
            rng.choice((1, -1)),
            rng.randrange(1, 4),
            False,
            second * NS_PER_SECOND + time + 1000,
        )
        for number, time in enumerate(times)
    ]


def closed_of(trades: list[Trade]) -> Closed:
    """What a second closes with whose trades came as one block."""
    builder = BarBuilder()
    builder.begin(START)
    builder.add_block(as_block(trades))
    return builder.close(START)


def assert_same(ours: Closed, theirs: Closed) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert [(bar.revision, bits(bar)) for bar in one] == [(bar.revision, bits(bar)) for bar in other]


@settings(deadline=None)
@given(tapes(seconds=SECONDS), st.data())
def test_blocks_and_values_close_alike(tape: list[Trade], data: st.DataObject) -> None:
    """In any order, repeated, in conflict, late, ahead, in blocks of any size and mixed with values."""
    tape = [
        msgspec.structs.replace(trade, received_ns=START * NS_PER_SECOND + n) for n, trade in enumerate(tape)
    ]
    values, blocks = BarBuilder(), BarBuilder()
    values.begin(START)
    blocks.begin(START)
    second, until = START, None
    while tape:
        size = data.draw(st.integers(1, 8))
        some, tape = tape[:size], tape[size:]
        plain = [trade for trade in some if not trade.liquidation]
        if data.draw(st.booleans()) and plain:
            forced = [trade for trade in some if trade.liquidation]
            blocks.add_block(as_block(plain))
            blocks.add_all(forced)
            values.add_all(plain + forced)
        else:
            blocks.add_all(some)
            values.add_all(some)
        if data.draw(st.booleans()) and second < START + SECONDS:
            until = data.draw(st.none() | st.integers(0, SECONDS))
            if until is not None:
                for builder in (values, blocks):
                    builder.accept_until(second + until, second + until + 1)
            assert_same(blocks.close(second), values.close(second))
            second += 1
        assert blocks.counts.received == values.counts.received
    newest = [{trade.market: trade.received_ns for trade in each.take_newest()} for each in (values, blocks)]
    assert newest[0] == newest[1]
    assert [bits(bar) for bar in blocks.pending()] == [bits(bar) for bar in values.pending()]
    for each in range(second, START + SECONDS + 1):
        assert_same(blocks.close(each), values.close(each))
    assert blocks.counts == values.counts


def test_the_newest_is_what_was_handed_in_last_however_it_came() -> None:
    """Two connections of a market may be read in another order than their trades came in."""
    trades = trades_of(0, 6)
    for order in permutations(range(3)):
        for as_values in range(3):
            builder = BarBuilder()
            for each in order:
                some = trades[2 * each : 2 * each + 2]
                if each == as_values:
                    builder.add_all(some)
                else:
                    builder.add_block(as_block(some))
            assert builder.take_newest() == (trades[2 * order[-1] + 1],)
            assert builder.take_newest() == ()


def test_a_market_of_a_block_may_have_come_as_values_alone() -> None:
    a, b, late = (trades_of(n, 1, f"X:{name}", START + n)[0] for n, name in ((0, "a"), (1, "b"), (0, "b")))
    values, blocks = BarBuilder(), BarBuilder()
    values.begin(START)
    blocks.begin(START)
    values.add_all([late, a, b])
    blocks.add_all([late])
    blocks.add_block(as_block([a, b]))
    for second in (START, START + 1):
        assert_same(blocks.close(second), values.close(second))


def test_a_revision_merges_with_what_came_as_a_block() -> None:
    trades = trades_of(1, 50)
    late = trades.pop(20)
    builder = BarBuilder()
    builder.begin(START)
    builder.add_block(as_block(trades))
    builder.close(START)
    builder.add(late)
    builder.add(trades[3])
    (revision,) = builder.close(START + 1).revisions
    whole = ticks_of(sorted([*trades, late], key=lambda trade: trade.exchange_ns)).ticks
    assert bits(revision) == bits(bar_of("X:a", START, whole, EMPTY))
    assert revision.revision == 1
    assert builder.counts.duplicates == 1


def test_packed_columns_are_the_ticks_shrunk_or_not() -> None:
    trades = trades_of(2, 300)
    builder = BarBuilder()
    builder.begin(START)
    builder.add_block(as_block(trades))
    builder.close(START)
    packed = builder._held.get(START, "X:a").trades
    assert unpack(packed) == ticks_of(trades).ticks
    assert unpack(shrink(shrink(packed))) == ticks_of(trades).ticks


def test_ids_that_do_not_rise_are_told_apart() -> None:
    rng = random.Random(3)
    trades = [
        msgspec.structs.replace(trade, trade_id=f"{rng.getrandbits(128):032x}") for trade in trades_of(3, 200)
    ]
    (bar,) = closed_of(trades).bars
    assert bits(bar) == bits(bar_of("X:a", START, ticks_of(trades).ticks, EMPTY))
    (again,) = closed_of([*trades, trades[7]]).bars
    assert bits(again) == bits(bar)


def test_any_disorder_gives_the_same_bar() -> None:
    trades = trades_of(4, 500)
    (bar,) = closed_of(trades).bars
    random.Random(4).shuffle(trades)
    (shuffled,) = closed_of(trades).bars
    assert bits(shuffled) == bits(bar)
    (backwards,) = closed_of(trades[::-1]).bars
    assert bits(backwards) == bits(bar)


def test_a_market_of_two_connections_is_one_bar() -> None:
    """While a connection is renewed both may bring the same trades; their other markets differ."""
    ours, others = trades_of(5, 40), trades_of(6, 10, "X:b")
    builder = BarBuilder()
    builder.begin(START)
    builder.add_block(as_block([*ours[:30], *others]))
    builder.add_block(as_block(ours[20:]))
    first, second = builder.close(START).bars
    assert bits(first) == bits(bar_of("X:a", START, ticks_of(ours).ticks, EMPTY))
    assert bits(second) == bits(bar_of("X:b", START, ticks_of(others).ticks, EMPTY))
    assert builder.counts.duplicates == 10
