"""A real redis-server on a loopback port of its own, to be stopped, killed, stalled and started again."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import redis

from squeezeflow_plugin.bus.redis import connect
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.settings import Settings
from tests.free_ports import LOOPBACK, free_port
from tests.influx_server import skip_or_fail


class RedisServer:
    """One server; ``options`` are redis-server's, as on its command line. Append-only by default."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        return Settings(bus="redis", redis_host=LOOPBACK, redis_port=self.port)

    def client(self, patience_s: float = 2.0) -> Any:
        return connect(self.settings, patience_s)

    def start(self) -> None:
        """Start, or start again with what the last life left; returns when it answers."""
        program = shutil.which("redis-server")
        if program is None:
            skip_or_fail("redis-server")
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [
                program, "--bind", LOOPBACK, "--port", str(self.port), "--dir", str(self._directory),
                "--save", "", "--appendonly", "yes", "--loglevel", "warning", *self._options,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        clock = SystemClock()
        deadline = clock.now_ns() + 10 * 10**9
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except (redis.ConnectionError, redis.AuthenticationError) as error:
                    if isinstance(error, redis.AuthenticationError):
                        return
                    assert self._process.poll() is None, "redis-server ended at once"
                    assert clock.now_ns() < deadline, "redis-server does not answer"
                    clock.sleep_until(clock.now_ns() + 10**7)
                else:
                    return

    def pause(self) -> None:
        """Stall it: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
