"""No secret in the repository, and none in what is said about a setting that holds one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from squeezeflow_plugin.bus.redis import connect
from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.settings import CREDENTIALS, Settings, environment_name, load

ROOT = Path(__file__).parents[2]
SECRET = "kept-0nly-between-us"  # noqa: S105 - looked for in what is said
FORMS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})",
    "PyPI token": r"\bpypi-[A-Za-z0-9_-]{50,}",
    "Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "Telegram token": r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}\b",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}",
    "URL with a password": r"\b[a-z][a-z0-9+]*://[^\s/:@{$%\"'<]+:[^\s/:@{$%\"'<]{3,}@[\w.-]+",
    "assigned secret": (
        r"(?i)(?:password|passwd|secret|secret_key|api_?key|token|jwt_secret_key)[\"']?\s*[:=]\s*"
        r"[\"'](?=[^\"']*\d)(?=[^\"']*[a-z])[A-Za-z0-9+/_=-]{16,}[\"']"
    ),
}
"""What secrets look like."""
KNOWN = {
    "tests/unit/test_secrets.py": {"assigned secret"},  # the one that is looked for
    "tests/unit/test_settings.py": {"URL with a password"},  # of no server
}
"""What looks like one and is none, by file."""
SAMPLES = {
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "AWS key": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub token": "ghp_" + "a1" * 18,
    "PyPI token": "pypi-" + "Ag" * 30,
    "Slack token": "xoxb-" + "123456789012",
    "Telegram token": "123456789:AA" + "x" * 33,
    "JSON web token": ".".join(["eyJ" + "a" * 24, "eyJ" + "b" * 24, "c" * 24]),
    "URL with a password": "redis://someone:" + "hunter22@example.org",
    "assigned secret": 'api_key = "' + "a1b2c3d4e5f6a7b8" + '"',
}


def found(text: str) -> set[str]:
    return {name for name, form in FORMS.items() if re.search(form, text)}


def committed() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is committed cannot be told")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


@pytest.mark.parametrize("name", FORMS)
def test_the_scan_finds_each_form(name: str) -> None:
    assert name in found(f"x {SAMPLES[name]} y")


def test_the_repository_holds_no_secret() -> None:
    hits = {}
    for path in committed():
        if path.is_file():
            name = path.relative_to(ROOT).as_posix()
            kinds = found(path.read_text(encoding="utf-8", errors="replace")) - KNOWN.get(name, set())
            if kinds:
                hits[name] = kinds
    assert hits == {}


def test_no_file_of_secrets_is_committed() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in committed()}
    assert [
        name for name in names if re.search(r"credentials|docker/secrets/|\.env$|\.pem$|\.key$", name)
    ] == []


@pytest.mark.parametrize(
    "name", ["SQUEEZEFLOW_REDIS_PASSWORD", "SQUEEZEFLOW_INFLUX_PASWORD_TOKEN", "SQUEEZEFLOW_REDIS_URL"]
)
def test_a_mistyped_credential_is_named_without_its_value(name: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown environment variable {name}; nothing") as refused:
        load(None, {name: SECRET})
    assert SECRET not in str(refused.value)
    with pytest.raises(SettingsError) as refused:
        load({"redis_pasword": SECRET}, {})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("name", sorted(CREDENTIALS))
def test_no_credential_is_shown_with_the_settings_or_taken_from_a_configuration(name: str) -> None:
    assert SECRET not in repr(load(None, {environment_name(name): SECRET}))
    with pytest.raises(SettingsError, match="is a credential") as refused:
        load({name: SECRET}, {})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/x@host:6379",
        f"http://:{SECRET}@host",
        f"redis://:{SECRET}@host:port",
        f":{SECRET}@",
    ],
)
def test_a_redis_url_that_cannot_be_used_is_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError, match="redis_url cannot be used") as refused:
        connect(Settings(redis_url=url), 1.0)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "url", [f"http://me:{SECRET}@host:8086", f"http://me:{SECRET}/x@host:8086", f"me:{SECRET}@host"]
)
def test_an_influx_url_with_a_password_is_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(influx_url=url)
    assert SECRET not in str(refused.value)
