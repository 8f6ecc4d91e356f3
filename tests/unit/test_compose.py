"""Docker-compose.yml's promises, each read from the file, and by docker-compose where it is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from squeezeflow_plugin.settings import load

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {"aggr-server", "freqtrade"}
MONITORING = {"prometheus", "grafana"}
PUBLISHED = OURS | {"grafana"}


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A copy of what `make secrets` and docker-compose need."""
    for name in ("docker-compose.yml", ".env.example"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "docker", tmp_path / "docker", ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([sys.executable, "docker/make_secrets.py"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def dockerfile(service: str) -> str:
    build: dict[str, str] = SERVICES[service]["build"]
    return Path(ROOT, build["context"], build.get("dockerfile", "Dockerfile")).read_text(encoding="utf-8")


def test_the_services_are_those_that_the_scripts_and_the_readme_name() -> None:
    assert {name: service["container_name"] for name, service in SERVICES.items()} == {
        name: name for name in ("aggr-server", "aggr-influx", "redis", "freqtrade", "prometheus", "grafana")
    }


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) >= 999
    assert int(group) >= 999
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not {"privileged", "cap_add", "devices", "pid", "network_mode", "ipc"} & set(service)
    assert not [volume for volume in service["volumes"] if "docker.sock" in volume]


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_bounded_watched_and_its_log_rotated(name: str) -> None:
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["restart"] == "unless-stopped"
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}


def test_nothing_is_published_beyond_loopback() -> None:
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert {name for name, published in ports.items() if published} == PUBLISHED
    assert all(port.startswith("127.0.0.1:${") for published in ports.values() for port in published)
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name, service in SERVICES.items():
        assert service["networks"] == (["inside", "outside"] if name in PUBLISHED else ["inside"])


def test_what_is_kept_lies_in_named_volumes_and_the_rest_is_mounted_read_only() -> None:
    for name, service in SERVICES.items():
        for volume in service["volumes"]:
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert mode == ["ro"], volume
                assert (ROOT / source).exists(), volume
            else:
                assert source in COMPOSE["volumes"], f"{name}: {volume}"


MEMORY = "/tmp"  # noqa: S108 - inside containers
WRITABLE = {
    "aggr-server": {"/data", MEMORY},
    "aggr-influx": {"/data", MEMORY},
    "redis": {"/data"},
    "freqtrade": {"/freqtrade/state", MEMORY},
    "prometheus": {"/prometheus"},
    "grafana": {"/var/lib/grafana", MEMORY},
}


def test_the_few_writable_places_are_those_that_the_documentation_names() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    for name, service in SERVICES.items():
        volumes = [volume.split(":") for volume in service["volumes"]]
        kept = {target for _, target, *mode in volumes if mode != ["ro"]}
        in_memory = {each.partition(":")[0] for each in service.get("tmpfs", ())}
        assert kept | in_memory == WRITABLE[name]
        assert all("size=" in each for each in service.get("tmpfs", ())), "bounded"
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` | `/"))
        assert set(re.findall(r"`(/[^`]*)`", row)) == WRITABLE[name]


def test_monitoring_is_a_profile_of_its_own_and_only_grafana_asks_for_a_login() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert {name for name, profile in profiles.items() if profile == ["monitoring"]} == MONITORING
    assert all(profiles[name] is None for name in set(SERVICES) - MONITORING)
    assert "ports" not in SERVICES["prometheus"]  # it would answer anyone
    assert SERVICES["grafana"]["secrets"] == ["grafana_password"]
    assert not any("ANONYMOUS" in key for key in SERVICES["grafana"]["environment"])


def test_start_order() -> None:
    assert SERVICES["freqtrade"]["depends_on"] == {"aggr-server": {"condition": "service_healthy"}}
    assert set(SERVICES["aggr-server"]["depends_on"]) == {"aggr-influx", "redis"}


def test_secrets_are_files_and_in_no_environment_command_or_image() -> None:
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    for name, service in SERVICES.items():
        environment = service["environment"]
        named = [key for key in environment if "PASSWORD" in key]
        assert all(key.endswith("_FILE") for key in named), name
        assert all(environment[key].removeprefix("/run/secrets/") in service["secrets"] for key in named)
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert "!docker" not in ignored
    committed = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {".env", "docker/secrets/"} <= set(committed)


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_services_settings_are_known_and_fit(name: str, tmp_path: Path) -> None:
    environ = {
        key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        for key, value in SERVICES[name]["environment"].items()
    }
    settings = load(None, {key: value for key, value in environ.items() if key != "NUMBA_CACHE_DIR"})
    assert (settings.store, settings.bus, settings.influx_retention_1s) == ("influx", "redis", "24h")
    assert settings.redis_maxmemory == "2gb"
    assert settings.influx_url.partition("//")[2].partition(":")[0] in SERVICES
    assert settings.redis_host in SERVICES


def test_every_variable_is_in_the_example_with_its_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert example == used
    assert "${" not in re.sub(r"\$\{\w+:-[^}]*\}", "", text), "every variable has a default"


def test_redis_is_run_as_the_settings_say() -> None:
    (command,) = SERVICES["redis"]["command"][2:]
    for part in ("--appendonly yes", '--maxmemory "$$REDIS_MAXMEMORY"', "noeviction", "requirepass"):
        assert part in command
    assert SERVICES["redis"]["environment"]["REDIS_MAXMEMORY"] == "${REDIS_MAXMEMORY:-2gb}"


def test_influxdb_is_the_named_version_with_authentication_on() -> None:
    text = dockerfile("aggr-influx")
    assert text.splitlines()[1] == "FROM influxdb:1.8.10"
    assert "INFLUXDB_HTTP_AUTH_ENABLED=true" in text
    assert "INFLUXDB_BIND_ADDRESS=127.0.0.1:8088" in text


@pytest.mark.parametrize("name", ["collector", "freqtrade"])
def test_pinned_packages_are_those_of_the_constraints(name: str) -> None:
    def pins(path: Path) -> dict[str, str]:
        lines = path.read_text(encoding="utf-8").splitlines()
        return {
            line.partition("==")[0].lower().replace("_", "-"): line
            for line in lines
            if line and not line.startswith("#")
        }

    constraints, wanted = pins(ROOT / "constraints.txt"), pins(ROOT / f"docker/{name}-requirements.txt")
    assert {key: line for key, line in wanted.items() if constraints.get(key) != line and "==" in line} == {}
    assert "freqtrade" not in wanted
    assert "pandas" not in wanted


def test_the_collector_imports_nothing_that_its_image_lacks() -> None:
    """Everything else is hidden from the interpreter, then the collector and its checks are imported."""
    lines = (ROOT / "docker/collector-requirements.txt").read_text(encoding="utf-8").splitlines()
    installed = [line.partition("==")[0] for line in lines if not line.startswith("#")]
    program = f"""
import importlib.metadata, sys
here = {{name.lower().replace("_", "-") for name in {installed!r}}} | {{"squeezeflow-plugin"}}
hidden = set()
for module, owners in importlib.metadata.packages_distributions().items():
    if not here & {{owner.lower().replace("_", "-") for owner in owners}}:
        hidden.add(module)
class Shown:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Shown(finder) for finder in sys.meta_path]
import squeezeflow_plugin.cli, squeezeflow_plugin.collector.app
import squeezeflow_plugin.checks.performance, squeezeflow_plugin.checks.alive
assert "pandas" in hidden and "freqtrade" in hidden
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_secrets_are_made_once_and_for_their_owner(stage: Path) -> None:
    folder = stage / "docker" / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    made = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert sorted(made) == sorted(Path(secret["file"]).name for secret in COMPOSE["secrets"].values())
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch(r"[\w-]{40}", text) for name, text in made.items() if name.endswith("password"))
    assert len(json.loads(made["freqtrade_api.json"])["api_server"]["password"]) == 40
    assert (stage / ".env").read_text(encoding="utf-8") == (ROOT / ".env.example").read_text(encoding="utf-8")
    (stage / ".env").write_text("REDIS_MAXMEMORY=4gb\n", encoding="utf-8")
    again = subprocess.run(
        [sys.executable, "docker/make_secrets.py"], cwd=stage, check=True, capture_output=True, text=True
    )
    assert again.stdout == ""
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == made


def test_the_public_hosts_workflow_runs_the_one_command_on_every_version() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step and "ci" in step["run"]] == [".ci/run"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert job["env"]["AUDIT"] == "required"
    (setup,) = (step for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["cache"] == "pip"
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").split()[-4:] == ["make", "check", "make", "test"]


def test_docker_compose_reads_it(stage: Path) -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed (apt-get install docker-compose)")
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith(("REDIS", "SQUEEZEFLOW"))
    }
    environ["INFLUX_RETENTION_1S"] = "48h"
    done = subprocess.run(
        [program, "--profile", "monitoring", "config"],
        cwd=stage,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    resolved = yaml.safe_load(done.stdout)
    assert set(resolved["services"]) == set(SERVICES)
    assert resolved["services"]["redis"]["environment"]["REDIS_MAXMEMORY"] == "2gb"
    assert resolved["services"]["freqtrade"]["environment"]["INFLUX_RETENTION_1S"] == "48h"
