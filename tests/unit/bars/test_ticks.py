"""Order, identity and folding of one market's second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.ticks import EMPTY, Ticks, bar_of, pack, row_of, ticks_of, unique, unpack
from squeezeflow_plugin.market import Trade
from tests.reference.bars_twin import twin_bars
from tests.unit.bars.tapes import START, assert_equals_twin, tapes


def trade(trade_id: str, ns: int = 0, price: float = 1.0, quote: float = 1.0, side: int = 1) -> Trade:
    return Trade("X:a", ns, trade_id, price, quote / price, quote, side)


def test_ties_in_time_are_ordered_by_id_as_numbers() -> None:
    ticks = ticks_of([trade("10", 5), trade("9", 5), trade("2", 7), trade("11", 5)]).ticks
    assert ticks.ids == ["9", "10", "11", "2"]


def test_the_short_cut_for_ordered_trades_gives_what_sorting_gives() -> None:
    ordered = [trade("1001", 3), trade("1002", 3), trade("1007", 9)]
    assert ticks_of(ordered) == unique(map(row_of, ordered))


def test_a_repeat_is_counted_and_a_conflict_is_settled_by_content_not_by_order() -> None:
    first, same, other = trade("7", price=2.0), trade("7", price=2.0), trade("7", price=3.0)
    orders = ([first, same, other], [other, same, first], [same, other, first])
    assert all(ticks_of(order) == ticks_of(orders[0]) for order in orders)
    ticks, duplicates, conflicts = ticks_of([other, first, same])
    assert (ticks.prices, duplicates, conflicts) == ([2.0], 2, 1)


def test_volumes_are_added_in_order_without_compensation() -> None:
    ticks = ticks_of([trade(str(n), n, quote=value) for n, value in enumerate((1e16, 1.0, 1.0))]).ticks
    assert bar_of("X:a", 0, ticks, EMPTY).vbuy == (1e16 + 1.0) + 1.0


def test_a_second_with_liquidations_only_has_no_price() -> None:
    bar = bar_of("X:a", 0, EMPTY, Ticks([1], ["1"], [10.0], [5.0], [-1]))
    assert bar.open != bar.open
    assert (bar.close != bar.close, bar.vsell, bar.csell, bar.lsell, bar.lbuy) == (True, 0.0, 0, 5.0, 0.0)


@given(tapes(seconds=1))
def test_any_second_folds_as_its_slow_twin(tape: list[Trade]) -> None:
    twins = twin_bars(tape)
    for market in {each.market for each in tape}:
        mine = [each for each in tape if each.market == market]
        trades = ticks_of([each for each in mine if not each.liquidation]).ticks
        forced = ticks_of([each for each in mine if each.liquidation]).ticks
        assert_equals_twin(bar_of(market, START, trades, forced), twins[market, START])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 999_999_999),
            st.text(max_size=6),
            st.floats(0.001, 1e6),
            st.floats(0.001, 1e9),
            st.sampled_from([1, -1, 127, -128, 128, -70_000]),
        ),
        min_size=1,
    )
)
def test_packed_ticks_come_back_to_the_bit(rows: list[tuple[int, str, float, float, int]]) -> None:
    second = START
    ticks = Ticks(*map(list, zip(*((second * 10**9 + at, *rest) for at, *rest in rows), strict=True)))
    assert unpack(pack(ticks)) == ticks


def test_a_packed_trade_takes_some_forty_bytes() -> None:
    ids = [str(3_735_683_259 + n) for n in range(1000)]
    times = [START * 10**9 + n for n in range(1000)]
    assert len(pack(Ticks(times, ids, [1.0] * 1000, [1.0] * 1000, [1] * 1000))) <= 39 * 1000 + 16
