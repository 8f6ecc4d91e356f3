from __future__ import annotations

import numpy as np
import pytest

from squeezeflow_plugin.simulator.dialect import inverse, linear
from squeezeflow_plugin.simulator.echoes import Echo, Forced, Ids, is_forced, uuid_text
from squeezeflow_plugin.simulator.episodes import Episode, Script
from squeezeflow_plugin.simulator.peers import dialects, echoes
from squeezeflow_plugin.simulator.profiles import asset_profile
from tests.unit.simulator.markets import ORIGIN, minutes_of, venue_of

BTC = asset_profile("BTC")
(MINUTE,) = minutes_of(BTC, 1, Script(), 1)
SOURCE = MINUTE.trades[BTC.perp.market]
NONE = SOURCE.select(slice(0, 0))


def echo(ids: Ids, forced: Forced = Forced.APART, share: float = 0.4) -> Echo:
    return Echo(linear("X:btc", "btc", "BTC", "USDT", 0.01), 1, 2, ids, share, forced=forced)


@pytest.mark.parametrize("ids", Ids)
def test_ids_are_of_their_kind_and_never_come_twice(ids: Ids) -> None:
    one = echo(ids)
    first, _ = one.minute(1, ORIGIN, SOURCE, NONE, 0)
    second, _ = one.minute(1, ORIGIN + 60, SOURCE, NONE, len(first))
    every = np.concatenate((first.ids, second.ids))
    assert len(set(every.tolist())) == len(every) > 500
    steps = set(np.diff(every).tolist())
    assert (steps == {1}) == (ids is Ids.SEQUENCE)
    assert bool((np.diff(first.ids) > 0).all()) == (ids in {Ids.SEQUENCE, Ids.RISING})
    order = np.lexsort((first.ids, first.at_ms))
    assert order.tolist() == list(range(len(first)))


def test_whole_orders_are_taken_at_their_own_time() -> None:
    taken, _ = echo(Ids.SEQUENCE).minute(1, ORIGIN, SOURCE, NONE, 0)
    assert 0.2 < len(taken) / len(SOURCE) < 0.6
    assert set(taken.at_ms.tolist()) <= set(SOURCE.at_ms.tolist())
    both = set(zip(SOURCE.at_ms.tolist(), SOURCE.side.tolist(), strict=True))
    assert set(zip(taken.at_ms.tolist(), taken.side.tolist(), strict=True)) <= both
    assert abs(taken.price.mean() / SOURCE.price.mean() - 1) < 1e-3


def test_sizes_are_counted_as_the_market_counts_them() -> None:
    coin = Echo(inverse("X:coin", "coin", "BTC", 100.0), 1, 0, Ids.SEQUENCE, 1.0, 1.0)
    (contracts, _), (hundredths, _) = (
        e.minute(1, ORIGIN, SOURCE, NONE, 0) for e in (coin, echo(Ids.SEQUENCE, share=1.0))
    )
    assert coin.quote(contracts).tolist() == (contracts.lots * 100.0).tolist()
    expected = hundredths.size * 0.01 * hundredths.price
    assert echo(Ids.SEQUENCE).quote(hundredths).tolist() == expected.tolist()


def test_what_comes_later_in_the_minute_changes_nothing_before() -> None:
    released = Script((Episode(1, ORIGIN - 900, ORIGIN + 30),))
    waiting = Script((Episode(1, ORIGIN - 900, None),))
    parts = []
    for script in (released, waiting):
        (minute,) = minutes_of(BTC, 1, script, 1)
        trades, _ = echo(Ids.SEQUENCE).minute(1, ORIGIN, minute.trades[BTC.perp.market], NONE, 0)
        parts.append(trades.between(0, (ORIGIN + 30) * 1000))
    assert len(parts[0]) > 20
    for name in ("at_ms", "ids", "ticks", "lots", "side"):
        assert getattr(parts[0], name).tolist() == getattr(parts[1], name).tolist()


def test_liquidations_come_as_the_exchange_tells_them() -> None:
    forced = SOURCE.select(slice(0, 40))
    apart, inside, untold = (
        echo(Ids.UUID, how).minute(1, ORIGIN, SOURCE, forced, 0)
        for how in (Forced.APART, Forced.IN_TRADES, Forced.UNTOLD)
    )
    assert 0 < len(apart[1]) < 40
    assert inside[1].ids.tolist() == inside[0].ids[is_forced(inside[0].ids)].tolist()
    assert len(untold[1]) == 0


def test_uuids_compare_as_their_numbers() -> None:
    numbers = np.random.default_rng(1).integers(0, 2**60, 200).tolist()
    assert sorted(map(uuid_text, numbers)) == list(map(uuid_text, sorted(numbers)))


def test_a_venue_makes_every_echo_and_its_ids_go_on() -> None:
    others = echoes(sorted(dialects()), [BTC])
    venue = venue_of("BTC", echoes=others)
    venue.extend(ORIGIN + 180)
    assert venue.tapes.keys() == {each.market for each in others} | {BTC.spot.market, BTC.perp.market}
    ids = venue.tapes["OKEX:BTC-USDT"].span(0, 2**60)[0].ids
    assert set(np.diff(ids).tolist()) == {1}
