"""The vectorised bars are those of the builder, to the bit."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades, id_ranks
from squeezeflow_plugin.market import Trade
from tests.unit.bars.tapes import START, bits, tapes

SECONDS = 6


def built(tape: list[Trade]) -> list[bytes]:
    builder = BarBuilder()
    builder.begin(START)
    builder.add_all(tape)
    return [bits(bar) for second in range(START, START + SECONDS) for bar in builder.close(second).bars]


@given(tapes(seconds=SECONDS), st.randoms(use_true_random=False))
def test_columns_give_the_builders_bits_in_its_order(tape: list[Trade], rng: random.Random) -> None:
    expected = built(tape)
    assert [bits(bar) for bar in bars_of_trades(columns_of_trades(tape)).bars()] == expected
    twice = tape * 2
    rng.shuffle(twice)
    assert [bits(bar) for bar in bars_of_trades(columns_of_trades(twice)).bars()] == expected


def test_conflicting_repeats_end_as_in_the_builder() -> None:
    at = START * 10**9
    one = Trade("X:a", at, "1", 9.0, 1.0, 9.0, 1)
    later = Trade("X:a", at + 5, "1", 9.0, 1.0, 9.0, -1)
    dear = Trade("X:a", at, "1", 11.0, 1.0, 11.0, 1)
    for tape in ([one, later, dear], [dear, later, one], [later, dear]):
        assert [bits(bar) for bar in bars_of_trades(columns_of_trades(tape)).bars()] == built(tape)


def test_no_trades_are_no_bars() -> None:
    assert len(bars_of_trades(columns_of_trades([]))) == 0


@given(st.lists(st.one_of(st.integers(0, 10**25).map(str), st.text(max_size=3)), max_size=30))
def test_ranks_compare_as_ids(ids: list[str]) -> None:
    ranks = id_ranks(ids).tolist()
    for one, its_rank in zip(ids, ranks, strict=True):
        for other, other_rank in zip(ids, ranks, strict=True):
            assert (its_rank < other_rank) == ((len(one), one) < (len(other), other))


@pytest.mark.parametrize("kind", [np.int64, np.uint32])
def test_whole_numbers_are_their_own_ranks(kind: type) -> None:
    assert id_ranks(np.array([3, 1, 20], dtype=kind)).tolist() == [3, 1, 20]
    assert id_ranks(np.array([-3, 1], dtype=np.int64)).tolist() == [1, 0]
