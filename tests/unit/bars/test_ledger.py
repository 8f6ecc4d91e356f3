"""Coverage is claimed only for what was connected, subscribed and alive for the whole second."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.bars.ledger import CoverageLedger
from squeezeflow_plugin.market import NS_PER_SECOND, Interval

WATERMARK_NS = 400_000_000


def ns(seconds: float) -> int:
    return round(seconds * NS_PER_SECOND)


class Told:
    """A ledger with one market, whose seconds are closed on time."""

    def __init__(self, **options: float) -> None:
        self.ledger = CoverageLedger(["X:a"], **options)  # type: ignore[arg-type]  # silence_limit_s or keep_s
        self.at = 0

    def covered(self, until: int) -> list[int]:
        """The covered seconds of those closed up to ``until``."""
        covered = []
        while self.at < until:
            start_ns = self.at * NS_PER_SECOND
            if self.ledger.close(self.at, start_ns, start_ns + NS_PER_SECOND + WATERMARK_NS):
                covered.append(self.at)
            self.at += 1
        return covered


def test_nobody_said_anything_is_a_hole() -> None:
    told = Told()
    assert told.covered(5) == []
    assert told.ledger.intervals() == ()


def test_only_whole_seconds_count() -> None:
    told = Told()
    told.ledger.live(["X:a"], ns(1.0))
    assert told.covered(4) == [1, 2, 3]
    told.ledger.down(["X:a"], ns(4.6))
    told.ledger.live(["X:a"], ns(4.7))
    # Second 4 was cut; second 5 was live from its start.
    assert told.covered(7) == [5, 6]
    assert told.ledger.intervals("X:a") == (Interval("X:a", 1, 4), Interval("X:a", 5, 7))


def test_a_connection_lost_before_the_deadline_may_have_kept_a_trade_back() -> None:
    told = Told()
    told.ledger.live(["X:a"], 0)
    assert told.covered(2) == [0, 1]
    told.ledger.down(["X:a"], ns(3.2))
    assert told.covered(4) == []
    told = Told()
    told.ledger.live(["X:a"], 0)
    told.ledger.down(["X:a"], ns(3.4))
    assert told.covered(5) == [0, 1, 2]


def test_a_second_acknowledgement_does_not_shorten_the_spell() -> None:
    told = Told()
    told.ledger.live(["X:a"], 0)
    told.ledger.live(["X:a"], ns(0.5))
    assert told.covered(1) == [0]


def test_silence_beyond_the_limit_is_a_hole_and_ends_with_the_next_trade() -> None:
    told = Told(silence_limit_s=3)
    told.ledger.live(["X:a"], 0)
    assert told.covered(6) == [0, 1, 2]
    told.ledger.seen("X:a", ns(6.5))
    assert told.covered(12) == [6, 7, 8]


def test_a_flapping_feed_takes_no_memory() -> None:
    told = Told()
    for step in range(10_000):
        told.ledger.live(["X:a"], ns(step * 0.1))
        told.ledger.down(["X:a"], ns(step * 0.1 + 0.05))
    assert told.ledger._feeds["X:a"].ended == []
    assert told.covered(10) == []


def test_seconds_closed_long_after_they_ended_know_their_spells() -> None:
    told = Told()
    told.ledger.live(["X:a"], 0)
    told.ledger.down(["X:a"], ns(5))
    told.ledger.live(["X:a"], ns(7.5))
    assert told.covered(10) == [0, 1, 2, 3, 8, 9]
    assert told.ledger._feeds["X:a"].ended == []


def test_repaired_spans_are_told_once_and_join_what_they_meet() -> None:
    told = Told()
    told.ledger.live(["X:a"], 0)
    assert told.covered(2) == [0, 1]
    told.ledger.down(["X:a"], ns(2.1))
    assert told.covered(5) == []
    told.ledger.repair(Interval("X:a", 2, 7))
    assert told.covered(8) == [5, 6]
    assert told.ledger.take_repaired() == (Interval("X:a", 2, 5),)
    assert told.ledger.take_repaired() == ()
    assert told.ledger.intervals() == (Interval("X:a", 0, 7),)


@pytest.mark.parametrize("interval", [Interval("X:b", 1, 2), Interval("X:a", 2, 2)])
def test_a_repair_of_nothing_is_refused(interval: Interval) -> None:
    with pytest.raises(ValueError, match="cannot repair"):
        CoverageLedger(["X:a"]).repair(interval)


def test_intervals_are_kept_for_a_bounded_time() -> None:
    told = Told(keep_s=10, silence_limit_s=50)
    told.ledger.live(["X:a"], 0)
    told.covered(50)
    assert told.ledger.intervals() == (Interval("X:a", 40, 50),)
    told.covered(55)
    assert told.ledger.intervals() == (Interval("X:a", 45, 50),)
    told.covered(60)
    assert told.ledger.intervals() == ()


def test_markets_of_others_are_ignored() -> None:
    ledger = CoverageLedger(["X:a"])
    ledger.live(["X:b"], 0)
    ledger.seen("X:b", 0)
    ledger.down(["X:b"], 0)
    assert not ledger.is_live("X:b")
    assert ledger.close(0, 0, NS_PER_SECOND) == ()
