from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest

from squeezeflow_plugin.simulator.faults import Fault, Kind, Line, Veil, retry_after_s, script

FRAMES = [f'{{"n":{n}}}' for n in range(200)]


def line(*kinds: Kind, strength: float = 1.0) -> Line:
    return Line([Fault(kind, "X", 1000, 5000, strength, 7) for kind in kinds], seed=3)


def sent(
    one: Line, frames: list[str], every_ms: int = 10, begin_ms: int = 1000
) -> list[tuple[int, str | bytes]]:
    """What arrives when, of frames sent one after the other."""
    arrived: list[tuple[int, str | bytes]] = []
    for now_ms in range(begin_ms, begin_ms + 20_000, every_ms):
        place = (now_ms - begin_ms) // every_ms
        if place < len(frames):
            one.send([frames[place]], now_ms)
        arrived += [(now_ms, frame) for frame in one.take(now_ms)]
    assert one.next_ms() is None
    return arrived


def test_without_faults_everything_arrives_at_once_and_in_order() -> None:
    for one, begin_ms in ((Line([]), 1000), (line(*Kind), 6000)):
        arrived = sent(one, FRAMES, begin_ms=begin_ms)
        assert arrived == [(begin_ms + 10 * n, frame) for n, frame in enumerate(FRAMES)]


def test_a_silent_connection_answers_and_stays_silent_for_good() -> None:
    one = line(Kind.SILENCE)
    assert sent(one, FRAMES) == []
    one.send(["late"], 30_000)
    one.answer(["ack"], 30_000)
    assert one.take(30_000) == ["ack"]


def test_duplicates_come_again_within_two_seconds() -> None:
    arrived = sent(line(Kind.DUPLICATE), FRAMES)
    for n, frame in enumerate(FRAMES):
        first, again = (at for at, each in arrived if each == frame)
        assert (first, again - first <= 2000) == (1000 + 10 * n, True)


def test_reordered_and_delayed_frames_all_arrive() -> None:
    mixed = [frame for _, frame in sent(line(Kind.REORDER), FRAMES)]
    assert mixed != FRAMES
    assert sorted(map(str, mixed)) == sorted(FRAMES)
    late = sent(line(Kind.DELAY), FRAMES)
    assert [frame for _, frame in late] == FRAMES
    assert late[0][0] - 1000 == 4000


def test_malformed_frames_are_beginnings_and_garbage_is_packed_by_its_look_alone() -> None:
    for n, (_, frame) in enumerate(sent(line(Kind.MALFORMED), FRAMES)):
        assert isinstance(frame, str)
        assert FRAMES[n].startswith(frame)
        assert frame != FRAMES[n]
    arrived = sent(line(Kind.GZIP_GARBAGE), FRAMES)
    garbage = [frame for _, frame in arrived if isinstance(frame, bytes)]
    assert len(garbage) == len(FRAMES) == len(arrived) - len(garbage)
    for frame in garbage:
        with pytest.raises((OSError, EOFError, zlib.error)):
            gzip.decompress(frame)


def test_connections_are_cut_and_questions_refused_while_it_lasts() -> None:
    fault = Fault(Kind.RATE_LIMIT, "X", 1000, 5000, 1.0, 1)
    assert [retry_after_s([fault], at) for at in (999, 1000, 4999, 5000)] == [0, 3, 3, 0]
    assert [line(Kind.CUT).is_cut(at) for at in (999, 1000, 4999, 5000)] == [False, True, True, False]
    assert Fault(Kind.CLOCK_JUMP, "X", 0, 1, 1.0, 1).jump_ms == 5000


def test_a_veil_hides_the_same_trades_whenever_it_is_asked() -> None:
    veil = Veil([Fault(Kind.MISSING_ID, "X", 1000, 5000, 1.0, 9)])
    at_ms, ids = np.arange(0, 10_000, 10), np.arange(1000)
    shown = veil.shown(at_ms, ids)
    assert shown[:100].all()
    assert shown[500:].all()
    assert 0.1 < (~shown[100:500]).mean() < 0.5
    assert veil.shown(at_ms[300:], ids[300:]).tolist() == shown[300:].tolist()


def test_a_script_has_every_kind_and_ends_in_time() -> None:
    faults = script(5, ["A", "B"], 1000, 90_000, sequenced=["B"], rounds=2)
    assert len(faults) == 2 * len(Kind)
    assert all(1000 <= f.start_ms < f.stop_ms <= 90_000 for f in faults)
    assert {f.exchange for f in faults if f.kind is Kind.MISSING_ID} == {"B"}
    assert [f.start_ms for f in faults] == sorted(f.start_ms for f in faults)
    assert faults != script(6, ["A", "B"], 1000, 90_000, sequenced=["B"], rounds=2)
