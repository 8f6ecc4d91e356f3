"""A real influxd with authentication on, on loopback ports of its own: to be killed, stalled, restarted."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.settings import Settings
from tests.free_ports import LOOPBACK, free_port
from tests.given_servers import GIVEN

USER = "squeezeflow"
PASSWORD = "only-for-tests"  # noqa: S105 - of a server that lives as long as the tests
_NUMBERS = itertools.count(1)


class InfluxDaemon:
    """One server process; with ``certificate`` and ``key`` it speaks TLS."""

    def __init__(
        self,
        directory: Path,
        certificate: Path | None = None,
        key: Path | None = None,
        snapshot_after: str = "10m",
    ) -> None:
        self._snapshot_after = snapshot_after
        self.port = free_port()
        self._directory = directory
        self._tls = (certificate, key) if certificate and key else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def settings(self, **fields: object) -> Settings:
        """Settings of a database of its own, kept for ever unless told otherwise."""
        values: dict[str, object] = {
            "influx_url": self.url,
            "influx_user": USER,
            "influx_password": PASSWORD,
            "influx_database": f"test_{os.getpid()}_{next(_NUMBERS)}",
            "influx_retention_1s": "inf",
        }
        return Settings(**(values | fields))  # type: ignore[arg-type]  # free-form test fields

    def start(self) -> None:
        """Start, or start again with what the last life left; returns when it answers with authentication."""
        program = shutil.which("influxd")
        if program is None:
            skip_or_fail("influxd")
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "influxdb.conf"
        config.write_text(self._config(), encoding="utf-8")
        with (self._directory / "influxd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-config", str(config)], stdout=log, stderr=log, start_new_session=True
            )
        self._await_answer()

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """Stall it: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _await_answer(self) -> None:
        """Create the user, until this process and no other server on its port knows it."""
        clock = SystemClock()
        deadline = clock.now_ns() + 20 * 10**9
        while (refusal := self._refusal()) is not None:
            assert self._process is not None
            assert self._process.poll() is None, "influxd ended at once; see influxd.log"
            assert clock.now_ns() < deadline, f"influxd does not answer: {refusal}"
            clock.sleep_until(clock.now_ns() + 2 * 10**7)

    def _refusal(self) -> str | None:
        """Why the user cannot be created and used, None where it can."""
        try:
            created = self._ask(f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
            if "error" in created:
                return str(created["error"])
            system = self._ask("SHOW DIAGNOSTICS FOR 'system'")["series"][0]
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            return str(error)
        pid = dict(zip(system["columns"], system["values"][0], strict=True))["PID"]
        return None if pid == self.pid else f"process {pid} answers at {self.url}"

    def _ask(self, statement: str) -> Any:
        """The one result of a statement, asked as the user."""
        request = urllib.request.Request(
            f"{self.url}/query",
            urlencode({"q": statement}).encode(),
            {"Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()},
        )
        context = None if self._tls is None else ssl.create_default_context(cafile=self._tls[0])
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return json.load(answer)["results"][0]

    def _config(self) -> str:
        tls = ""
        if self._tls is not None:
            certificate, key = self._tls
            tls = f'https-enabled = true\nhttps-certificate = "{certificate}"\nhttps-private-key = "{key}"'
        return f"""
reporting-disabled = true
bind-address = "{LOOPBACK}:{free_port()}"
[meta]
dir = "{self._directory}/meta"
logging-enabled = false
[data]
dir = "{self._directory}/data"
wal-dir = "{self._directory}/wal"
index-version = "tsi1"
cache-snapshot-write-cold-duration = "{self._snapshot_after}"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "{LOOPBACK}:{self.port}"
auth-enabled = true
log-enabled = false
{tls}
[continuous_queries]
log-enabled = false
"""


def skip_or_fail(program: str) -> None:
    """A missing server skips a test, and fails it where TEST_SERVERS=required says that it must be there.

    A server that the caller names stands in for its program, as far as it can.
    """
    named = {"influxd": "INFLUX_URL", "redis-server": "REDIS_URL"}[program]
    if os.environ.get("TEST_SERVERS") == "required" and named not in GIVEN:
        pytest.fail(f"{program} is not installed and TEST_SERVERS=required")
    pytest.skip(f"{program} is not installed; scripts/test_servers.sh installs it")
