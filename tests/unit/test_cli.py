"""The command line's own promises: exit status, one sentence for an error, every command in the README."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from squeezeflow_plugin import cli
from squeezeflow_plugin.up.userdir import template


def test_an_error_is_one_sentence_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.parquet"
    assert cli.main(["bars", str(missing), "-o", str(tmp_path / "out.parquet")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("squeezeflow: ")
    assert str(missing) in err
    assert len(err.splitlines()) == 1


UNKNOWN = template("config.json").replace(b'"squeezeflow": {}', b'"squeezeflow": {"assts": 3}')
BROKEN = b'{\n  "dry_run": true,\n  broken\n}'


MISTAKES = (
    (BROKEN, "config.json, line 3: Parse error"),
    (b"[]", "config.json must hold a JSON object, but holds a list"),
    (UNKNOWN, "unknown setting squeezeflow.assts"),
    (b"{}", "section 'exchange'"),
)


@pytest.mark.parametrize(
    ("command", "body", "told"),
    [
        (command, body, told)
        for command in ("parity", "backtest", "sweep", "up")
        for body, told in MISTAKES
        if command != "up" or body != b"{}"  # there FreqTrade itself asks for the exchange
    ],
)
def test_a_mistake_in_the_bots_configuration_is_one_sentence_before_anything_runs(
    command: str,
    body: bytes,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_bytes(body)
    options = {
        "up": ["--userdir", ".", "--api-port", "0"],
        "sweep": ["--config", "config.json", "--userdir", ".", "--timerange", "20260101-20260102"],
    }
    arguments = options.get(command, ["--config", "config.json", "--userdir", "."])
    assert cli.main([command, *arguments]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert len(err.splitlines()) == 1


def test_parameters_that_the_bot_would_refuse_are_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQUEEZEFLOW_PARAMS", '{"min_scor": 5}')
    assert cli.main(["init", "--userdir", "."]) == 0
    assert cli.main(["up", "--userdir", ".", "--api-port", "0"]) == 2
    assert "unknown parameter(s) min_scor" in capsys.readouterr().err


def test_questions_and_refusals_leave_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ["import", "none.csv"],
        ["export", "-o", "a.csv"],
        ["explain", "--pair", "BTC/USDT", "--at", "1700000000"],
    ):
        assert cli.main(command) == 2
    assert cli.main(["status"]) == 1
    assert "nothing is exported" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["up", "--api-port", "0"], ["simulate", "--hours", "1"], ["collect"]])
def test_a_data_folder_that_cannot_be_made_is_one_sentence(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init"]) == 0
    (tmp_path / "file").touch()
    monkeypatch.setenv("SQUEEZEFLOW_DATA_DIR", str(tmp_path / "file" / "data"))
    monkeypatch.setenv("SQUEEZEFLOW_HEALTH_PORT", "0")
    monkeypatch.setenv("SQUEEZEFLOW_API_PORT", "0")
    assert cli.main(command) == 2
    err = capsys.readouterr().err
    assert "Not a directory" in err
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("command", ["plan", "completion bash"])
def test_output_that_finds_no_room_is_one_sentence(command: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "squeezeflow_plugin.cli", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "squeezeflow: the system refuses: [Errno 28] No space left on device; the command ends here\n"
    )


def test_the_readme_names_every_command() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    actions = cli._parser()._actions
    (commands,) = (each for each in actions if isinstance(each, argparse._SubParsersAction))
    assert [name for name in commands.choices if f"`squeezeflow {name}" not in readme] == []


def test_an_unknown_command_is_refused_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["dance"])
    assert stop.value.code == 2
    assert "invalid choice: 'dance'" in capsys.readouterr().err
