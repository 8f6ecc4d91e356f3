"""The command line's own promises: exit status, one sentence for an error, every command in the README."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from squeezeflow_plugin import cli


def test_an_error_is_one_sentence_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.parquet"
    assert cli.main(["bars", str(missing), "-o", str(tmp_path / "out.parquet")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("squeezeflow: ")
    assert str(missing) in err
    assert len(err.splitlines()) == 1


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
