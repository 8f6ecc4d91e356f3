"""A real bash completes what the parsers know."""

from __future__ import annotations

import argparse
import subprocess

import pytest

from squeezeflow_plugin import cli


def commands() -> list[str]:
    (found,) = (each for each in cli._parser()._actions if isinstance(each, argparse._SubParsersAction))
    return list(found.choices)


def completed(capsys: pytest.CaptureFixture[str], *words: str) -> set[str]:
    """What bash offers after these words, the last one unfinished."""
    assert cli.main(["completion", "bash"]) == 0
    line = " ".join(f'"{word}"' for word in ("squeezeflow", *words))
    program = (
        f"{capsys.readouterr().out}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}\n_squeezeflow\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_every_command_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert completed(capsys, "") == {*commands(), "--help", "--version"}
    assert completed(capsys, "do") == {"doctor"}


def test_options_and_verbs_follow_their_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert completed(capsys, "plan", "--m") == {"--markets"}
    assert completed(capsys, "plan", "--markets", "6", "--j") == {"--json"}
    assert completed(capsys, "db", "") == {"setup", "show", "verify", "--help"}
    assert completed(capsys, "db", "setup", "--s") == {"--shorten"}


def test_where_nothing_fits_the_shell_completes_file_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert completed(capsys, "bars", "some-file") == set()
    assert cli.main(["completion", "zsh"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("autoload -U +X bashcompinit")
    assert "complete -o default -F _squeezeflow squeezeflow" in out
