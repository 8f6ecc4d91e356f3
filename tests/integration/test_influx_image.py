"""What our InfluxDB image adds to the official one, on a real influxd: passwords that are files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.influx_server import PASSWORD, USER, InfluxDaemon

SCRIPTS = Path(__file__).parents[2] / "docker" / "influx"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "influx_password").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "influx_read_password").write_text("another", encoding="utf-8")
    return tmp_path


def environ(secrets: Path, **more: str) -> dict[str, str]:
    mine = {"SECRETS_DIR": str(secrets), "INFLUXDB_ADMIN_USER": USER, "HOME": str(secrets)}
    return {"PATH": os.environ["PATH"]} | mine | more


def test_the_documented_command_works_as_it_is_written(influx: InfluxDaemon, secrets: Path) -> None:
    if shutil.which("/usr/bin/influx") is None:
        pytest.skip("InfluxDB's command line is not installed (apt-get install influxdb-client)")
    settings = influx.settings()
    database = settings.influx_database
    statement = f'CREATE DATABASE "{database}"; SHOW RETENTION POLICIES ON "{database}"'
    command = [str(SCRIPTS / "influx"), "-port", str(influx.port), "-execute", statement]
    done = subprocess.run(command, env=environ(secrets), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "autogen" in done.stdout
    (secrets / "influx_password").write_text("wrong", encoding="utf-8")
    done = subprocess.run(command, env=environ(secrets), capture_output=True, text=True, check=False)
    assert "authorization failed" in done.stdout + done.stderr


def test_the_start_script_hands_the_passwords_on(secrets: Path) -> None:
    official = secrets / "official"
    official.write_text(
        '#!/bin/sh\necho "$INFLUXDB_ADMIN_PASSWORD $INFLUXDB_READ_USER_PASSWORD $*"\n', encoding="utf-8"
    )
    official.chmod(0o755)
    done = subprocess.run(
        [str(SCRIPTS / "entrypoint"), "influxd", "-config", "x"],
        env=environ(secrets, OFFICIAL_ENTRYPOINT=str(official)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{PASSWORD} another influxd -config x\n"
