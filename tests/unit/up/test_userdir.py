"""A user's folder is made ready once; what is in it stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from squeezeflow_plugin.cli import main
from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.up.userdir import FILES, configuration, prepare, template

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", FILES)
def test_the_package_holds_what_the_repository_runs(name: str) -> None:
    assert template(name) == (ROOT / "user_data" / name).read_bytes()


def test_an_empty_folder_gets_every_file_once(tmp_path: Path) -> None:
    folder = tmp_path / "user_data"
    assert prepare(folder) == tuple(f"{folder / name} written" for name in FILES)
    assert {name: (folder / name).read_bytes() for name in FILES} == {name: template(name) for name in FILES}
    assert prepare(folder) == tuple(f"{folder / name} is there" for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_users_file_is_never_changed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine", encoding="utf-8")
    lines = prepare(tmp_path)
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
    (line,) = (line for line in lines if not line.endswith("written"))
    assert line.startswith(f"{tmp_path / name} is yours and kept")
    assert ("doctor" in line) == name.endswith(".json")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    folder = tmp_path / "user_data"
    folder.mkdir()
    (folder / "config.json").symlink_to(target)
    prepare(folder)
    assert not target.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(
        ProcessError, match=r"taken/user_data/config\.json cannot be written: Not a directory"
    ):
        prepare(tmp_path / "taken" / "user_data")


def test_a_missing_configuration_names_the_command_that_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProcessError, match=rf"`squeezeflow init --userdir {tmp_path}` writes it"):
        configuration(tmp_path, futures=True)
    assert main(["up", "--api-port", "0", "--userdir", str(tmp_path)]) == 2
    assert "config.json is missing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_init_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--userdir", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:-1] == [f"{tmp_path / name} written" for name in FILES]
    assert f"squeezeflow up --userdir {tmp_path}" in told[-1]
    assert configuration(tmp_path, futures=True) == tmp_path / "config.futures.json"
