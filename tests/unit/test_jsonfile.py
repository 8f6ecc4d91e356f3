"""A file is whole or not there, and one that cannot be read is none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.jsonfile import read_json, replace_json


class Told(msgspec.Struct, frozen=True):
    second: int
    names: tuple[str, ...] = ()


@pytest.mark.parametrize("indented", [False, True])
def test_what_was_written_is_read_and_replaced(tmp_path: Path, indented: bool) -> None:
    path = tmp_path / "told.json"
    assert read_json(path, Told) is None
    for told in (Told(1, ("a",)), Told(2)):
        replace_json(path, told, indented=indented)
        assert read_json(path, Told) == told
    assert [each.name for each in tmp_path.iterdir()] == ["told.json"]
    assert path.read_bytes().startswith(b'{\n  "second"' if indented else b'{"second"')


def test_the_old_file_stays_where_the_disk_refuses(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    replace_json(path, Told(1))
    (tmp_path / "told.partial").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_json(path, Told(2))
    assert read_json(path, Told) == Told(1)
    with pytest.raises(FileNotFoundError):
        replace_json(tmp_path / "absent" / "told.json", Told(1))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"second": "soon"}'])
def test_another_versions_file_is_none(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "told.json"
    path.write_bytes(body)
    assert read_json(path, Told) is None


def test_a_file_that_cannot_be_read_is_an_error_and_not_none(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    path.mkdir()  # a permission would not stop root
    with pytest.raises(StoreError, match=r"told\.json cannot be read"):
        read_json(path, Told)
