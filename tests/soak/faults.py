"""What can go wrong, one function a fault: it begins, lasts and ends, and the collector runs when it returns.

A new fault is a function of the stage and the schedule's randomness, named in ``schedules``.
"""

from __future__ import annotations

import random

from tests.fault_proxy import Fault
from tests.soak.stage import Stage, pause

_WRITE_FAULTS = (
    Fault.ERROR_500, Fault.HANG_UP, Fault.HALF, Fault.LOSE, Fault.LOSE_ANSWER, Fault.SLOW, Fault.NONE
)  # fmt: skip  # in the order of the proxy
_READ_ONLY = "Read-only file system"


def kill_collector(stage: Stage, rng: random.Random) -> None:
    """kill -9 at any moment of a second."""
    pause(rng.uniform(0, 2.0))
    stage.kill_collector()
    pause(rng.choice((0.0, rng.uniform(0, 3.0))))
    stage.start_collector()


def kill_again_and_again(stage: Stage, rng: random.Random) -> None:
    """kill -9 while it starts, while it recovers, while the feeds come back."""
    for _ in range(4):
        stage.kill_collector()
        stage.start_collector()
        pause(rng.uniform(0.1, 2.5))
    stage.kill_collector()
    stage.start_collector()


def refuse_writes(stage: Stage, rng: random.Random) -> None:
    """Every write fails (EFBIG), and goes through again without a restart."""
    stage.limit_files(0)
    _last(stage, rng.uniform(2, 6))
    stage.limit_files(-1)


def refuse_writes_and_kill(stage: Stage, rng: random.Random) -> None:
    """Every write fails, and then the process is gone with what it could not write."""
    stage.limit_files(0)
    _last(stage, rng.uniform(1, 4))
    stage.kill_collector()
    stage.start_collector()


def fill_disk(stage: Stage, rng: random.Random) -> None:
    """No space left, then some again, without a restart."""
    assert stage.disk is not None
    stage.disk.fill()
    _last(stage, rng.uniform(2, 6))
    stage.disk.free()


def start_on_a_readonly_disk(stage: Stage, _rng: random.Random) -> None:
    """A collector that can write nowhere says so in a sentence and ends; the next one goes on."""
    assert stage.disk is not None
    stage.kill_collector()
    stage.close_reader()
    stage.disk.set_readonly(True)
    stage.start_collector()
    stage.await_refusal(_READ_ONLY)
    stage.disk.set_readonly(False)
    stage.start_collector()


def flush_redis(stage: Stage, _rng: random.Random) -> None:
    """FLUSHALL."""
    assert stage.redis is not None
    with stage.redis.client() as client:
        client.flushall()


def kill_redis(stage: Stage, rng: random.Random) -> None:
    """kill -9 of redis-server, and its restart."""
    assert stage.redis is not None
    stage.redis.kill()
    _last(stage, rng.uniform(0.2, 6))
    stage.redis.start()


def stall_redis(stage: Stage, rng: random.Random) -> None:
    """The server answers nothing, with its connections open."""
    assert stage.redis is not None
    stage.redis.pause()
    _last(stage, rng.uniform(0.5, 5))
    stage.redis.resume()


def fill_redis(stage: Stage, rng: random.Random) -> None:
    """maxmemory reached: every write is refused."""
    assert stage.redis is not None
    with stage.redis.client() as client:
        client.config_set("maxmemory", "1")
        _last(stage, rng.uniform(1, 5))
        client.config_set("maxmemory", "0")


def kill_influx(stage: Stage, rng: random.Random) -> None:
    """kill -9 of influxd, and its restart."""
    assert stage.influx is not None
    stage.influx.kill()
    _last(stage, rng.uniform(1, 5))
    stage.influx.start()


def stall_influx(stage: Stage, rng: random.Random) -> None:
    """The server answers nothing, with its connections open."""
    assert stage.influx is not None
    stage.influx.pause()
    _last(stage, rng.uniform(1, 6))
    stage.influx.resume()


def fail_influx(stage: Stage, rng: random.Random) -> None:
    """500 to everything for a while."""
    assert stage.proxy is not None
    stage.proxy.always(Fault.ERROR_500)
    _last(stage, rng.uniform(1, 6))
    stage.proxy.always(None)


def spoil_influx_writes(stage: Stage, rng: random.Random) -> None:
    """The next writes are refused, cut in half, lost after 204, or stored without an answer."""
    assert stage.proxy is not None
    stage.proxy.order(rng.choices(_WRITE_FAULTS, k=rng.randint(2, 8)))
    _last(stage, rng.uniform(2, 6))


def _last(stage: Stage, seconds: float) -> None:
    """The fault stands for so long, and the collector with it."""
    pause(seconds)
    stage.is_alive()
    stage.note_spool()
