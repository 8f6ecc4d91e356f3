"""The wheel in a user's folder, started by the documented commands with servers: what it opens and tells.

One run of the whole system: built, installed without a download (what it needs is here already), prepared,
started with InfluxDB and Redis, looked at from outside, stopped.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from squeezeflow_plugin.bus.redis import RedisBarBus, connect
from squeezeflow_plugin.errors import BusError, StoreError
from squeezeflow_plugin.settings import Settings, process_environ
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.up.userdir import FILES
from tests.free_ports import LOOPBACK
from tests.influx_server import skip_or_fail
from tests.integration.job import ROOT, lines_until

WRONG = "wr0ng-and-n0t-to-be-told"
LEFT_OUT = (
    *(".git", ".venv", "build", "dist", "site", "squeezeflow", "*.egg-info", "__pycache__", "secrets"),
    *(
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
        ".import_linter_cache",
        ".pytest_cache",
        ".coverage*",
        ".env",
    ),
)


@dataclass(frozen=True)
class Distributions:
    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / "source/user_data/squeezeflow").mkdir()
    (folder / "source/user_data/squeezeflow/credentials.json").write_text("{}", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(folder / "dist"),
        str(folder / "source"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return Distributions(sdist, wheel)


@dataclass(frozen=True)
class Listener:
    """A port that a process of the run listens on."""

    name: str
    address: str
    port: int


@dataclass
class Run:
    """The running system: its processes, what it said, and the folder it runs in."""

    process: subprocess.Popen[str]
    folder: Path
    said: list[str]

    @property
    def tree(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def named(self, part: str) -> psutil.Process:
        (found,) = (each for each in self.tree if part in name_of(each))
        return found

    @property
    def environ(self) -> dict[str, str]:
        return self.named("up").environ()

    @property
    def secrets(self) -> dict[str, str]:
        """Everything that only the run's own processes should know, by name."""
        login = json.loads(
            (self.folder / "user_data/squeezeflow/credentials.json").read_text(encoding="utf-8")
        )
        secrets = {key: login[key] for key in ("password", "jwt_secret_key", "ws_token")}
        secrets |= {key: self.environ[key] for key in ("INFLUX_PASSWORD", "REDIS_PASSWORD")}
        for user, key in ((self.environ["INFLUX_USER"], "INFLUX_PASSWORD"), (login["username"], "password")):
            secrets[f"basic {key}"] = base64.b64encode(f"{user}:{secrets[key]}".encode()).decode()
        return secrets

    def listeners(self) -> list[Listener]:
        return [
            Listener(name_of(each), found.laddr.ip, found.laddr.port)
            for each in self.tree
            for found in each.net_connections(kind="inet")
            if found.status == psutil.CONN_LISTEN or (found.type == socket.SOCK_DGRAM and not found.raddr)
        ]

    def port(self, name: str) -> int:
        (found,) = {each.port for each in self.listeners() if each.name == name}
        return found


def take_over_compiled(site: Path) -> None:
    """Give the installed kernels what Numba has compiled of the checkout's, which are the same, to save time.

    Numba knows a source by its size and time; where these differ it compiles as it would anyway.
    """
    for compiled in (ROOT / "squeezeflow_plugin").rglob("*.nb[ci]"):
        target = site / compiled.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(compiled, target)
        for source in compiled.parent.parent.glob("*.py"):
            shutil.copystat(source, site / source.relative_to(ROOT))


def name_of(process: psutil.Process) -> str:
    """Which part of the system a process is."""
    line = " ".join(process.cmdline())
    for part, mark in (
        ("influxd", r"^influxd "), ("redis", r"redis-server"), ("freqtrade", r"-m freqtrade trade"),
        ("simulator", r"cli simulate"), ("collector", r"cli collect"), ("up", r"squeezeflow up"),
    ):  # fmt: skip
        if re.search(mark, line):
            return part
    return line


@pytest.fixture(scope="module")
def run(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    for program in ("influxd", "redis-server"):
        if shutil.which(program) is None:
            skip_or_fail(program)
    folder = tmp_path_factory.mktemp("user")
    site = folder / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, "--target", str(site), str(built.wheel)], check=True, timeout=60)
    take_over_compiled(site)
    environ = process_environ() | {"PYTHONPATH": str(site), "PYTHON": sys.executable}
    environ["PATH"] = f"{site / 'bin'}:{Path(sys.executable).parent}:{environ['PATH']}"
    for name in ("INFLUX_URL", "REDIS_URL", "REDIS_HOST"):
        environ.pop(name, None)
    for command in ("freqtrade create-userdir --userdir user_data", "squeezeflow init"):
        done = subprocess.run(
            command.split(), cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    servers = [str(ROOT / "scripts/with_servers.sh"), "influx", "redis", "--", "env", "-C", str(folder)]
    environ |= {"SQUEEZEFLOW_STORE": "influx", "SQUEEZEFLOW_BUS": "redis"}
    process = subprocess.Popen(
        [*servers, "squeezeflow", "up", "--api-port", "0"],
        cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    made = Run(process, folder, [])
    try:
        made.said += lines_until(process, "ready:")
        assert made.said[-1].startswith("ready:"), "\n".join(made.said[-20:])
        made.said += lines_until(process, " | ")
        yield made
    finally:
        if process.poll() is None:
            made.named("up").send_signal(signal.SIGINT)
            process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def test_the_wheel_holds_the_package_and_nothing_else(built: Distributions) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    package = {name for name in names if name.startswith("squeezeflow_plugin/")}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "squeezeflow_plugin").rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts  # where another process may be compiling just now
    }
    assert package == wanted
    assert {f"squeezeflow_plugin/up/templates/{name}" for name in FILES} <= names
    assert {name.split("/")[0] for name in names - package} == {"squeezeflow_plugin-0.1.0.dist-info"}


def test_the_sdist_builds_checks_and_runs_and_holds_nothing_that_a_run_left(built: Distributions) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in (
        "Makefile",
        "constraints.txt",
        "mkdocs.yml",
        ".ci/run",
        "docker-compose.yml",
        "docs/index.md",
    ):
        assert name in names
    assert {f"user_data/{name}" for name in FILES} <= names
    assert "tests/integration/test_installed.py" in names
    assert [
        name for name in names if re.search(r"credentials\.json|secrets/|\.(pyc|nbc|nbi|sqlite)$", name)
    ] == []


@pytest.mark.slow
def test_the_documented_commands_come_to_a_running_dry_run(run: Run) -> None:
    for page in ("README.md", "docs/quick-start.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert re.search(r"pip install dist/\S+\.whl\nsqueezeflow init\b.*\nsqueezeflow up\b", text), page
    assert {name_of(each) for each in run.tree} >= {
        "up",
        "simulator",
        "collector",
        "freqtrade",
        "influxd",
        "redis",
    }
    answer, body = ask(run, "show_config", login=True)
    assert answer == 200
    assert (json.loads(body)["dry_run"], json.loads(body)["state"]) == (True, "running")
    where = [sys.executable, "-c", "import squeezeflow_plugin; print(squeezeflow_plugin.__file__)"]
    found = subprocess.run(where, cwd=run.folder, env=run.environ, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(run.folder / "site"))  # what was installed, not the checkout


def ask(run: Run, path: str, *, login: bool = False, password: str = "") -> tuple[int, bytes]:
    """FreqTrade's API; 0 where it does not answer."""
    request = urllib.request.Request(f"http://{LOOPBACK}:{run.port('freqtrade')}/api/v1/{path}")
    if login or password:
        pair = f"freqtrader:{password or run.secrets['password']}"
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return answer_of(request)


def answer_of(request: urllib.request.Request | str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.slow
def test_nothing_listens_beyond_loopback(run: Run) -> None:
    found = run.listeners()
    assert [each for each in found if each.address != LOOPBACK] == []
    counted = {name: sum(each.name == name for each in found) for name in {each.name for each in found}}
    # Of influxd one for queries and one for its own backups; of the collector API and health.
    assert counted == {"influxd": 2, "redis": 1, "simulator": 1, "collector": 2, "freqtrade": 1}


@pytest.mark.slow
def test_what_should_ask_for_credentials_answers_nothing_without(run: Run) -> None:
    for path in (
        "balance",
        "status",
        "show_config",
        "trades",
        "logs",
        "pair_candles?pair=BTC%2FUSDT&timeframe=1m",
    ):
        assert ask(run, path)[0] == 401, path
        assert ask(run, path, password=WRONG)[0] == 401, path
    influx = run.environ["INFLUX_URL"]
    for path in (
        "query?q=SHOW+DATABASES",
        "query?q=SHOW+USERS",
        f"query?q=SHOW+DATABASES&u=squeezeflow&p={WRONG}",
    ):
        assert answer_of(f"{influx}/{path}")[0] == 401, path
    write = urllib.request.Request(f"{influx}/write?db=significant_trades", b"x y=1", method="POST")
    assert answer_of(write)[0] == 401
    for said in (b"PING\r\n", b"KEYS *\r\n", b"CONFIG GET *\r\n", f"AUTH {WRONG}\r\nPING\r\n".encode()):
        with socket.create_connection((LOOPBACK, int(run.environ["REDIS_PORT"])), 10) as connection:
            connection.sendall(said)
            assert connection.recv(100).startswith((b"-NOAUTH", b"-WRONGPASS")), said


@pytest.mark.slow
def test_what_asks_for_none_only_tells(run: Run) -> None:
    """The collector's pages are market data and the bot's figures, to be read and not to be changed."""
    ports = {each.port for each in run.listeners() if each.name == "collector"}
    for port in ports:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            for path in ("health", "flow", "products", "historical/0/1"):
                request = urllib.request.Request(f"http://{LOOPBACK}:{port}/{path}", method=method)
                assert answer_of(request)[0] in {404, 405}, (port, method, path)
        request = urllib.request.Request(f"http://{LOOPBACK}:{port}/", headers={"Host": "rebound.example"})
        assert answer_of(request)[0] == 403


@pytest.mark.slow
def test_no_secret_is_in_a_process_list_a_log_or_an_open_file(run: Run) -> None:
    secrets = run.secrets
    assert all(len(secret) >= 18 for secret in secrets.values())
    for process in run.tree:
        line = " ".join(process.cmdline())
        assert [name for name, secret in secrets.items() if secret in line] == [], name_of(process)
    assert [name for name, secret in secrets.items() if secret in "\n".join(run.said)] == []
    holding = {}
    for path in run.folder.rglob("*"):
        if path.is_file() and "site" not in path.relative_to(run.folder).parts:
            body = path.read_bytes()
            if any(secret.encode() in body for secret in secrets.values()):
                holding[path.name] = stat.S_IMODE(path.stat().st_mode)
    assert holding == {"credentials.json": 0o600, "freqtrade.json": 0o600}
    assert list(run.folder.rglob("*.log"))  # that there was something to look through


@pytest.mark.slow
def test_a_wrong_password_is_refused_and_not_told(run: Run) -> None:
    environ = run.environ
    redis_port, url = int(environ["REDIS_PORT"]), environ["INFLUX_URL"]
    bus = RedisBarBus(connect(Settings(redis_port=redis_port, redis_password=WRONG), 5.0))
    with pytest.raises(BusError) as refused:
        bus.last_second("main")
    bus.close()
    assert WRONG not in told(refused.value)
    server = InfluxServer(Settings(influx_url=url, influx_user=environ["INFLUX_USER"], influx_password=WRONG))
    with pytest.raises(StoreError) as denied:
        server.command("SHOW DATABASES")
    server.close()
    assert WRONG not in told(denied.value)


def told(error: BaseException | None) -> str:
    """The error and everything that it came from."""
    return "" if error is None else f"{error!r} {told(error.__cause__)} {told(error.__context__)}"


@pytest.mark.slow
def test_it_ends_and_leaves_nothing(run: Run) -> None:
    tree, secrets = run.tree, run.secrets
    run.named("up").send_signal(signal.SIGINT)
    assert run.process.stdout is not None
    said = run.process.stdout.read()
    assert run.process.wait(60) == 0
    _, alive = psutil.wait_procs(tree, timeout=30)
    assert alive == []
    logs = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in run.folder.rglob("*.log"))
    assert [name for name, secret in secrets.items() if secret in said + logs] == []
    assert os.path.getsize(run.folder / "user_data/squeezeflow/simulated/decisions.sqlite") > 0
