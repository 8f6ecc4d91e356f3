"""The file is whole or not there, and one that cannot be read is none."""

from __future__ import annotations

from pathlib import Path

from squeezeflow_plugin.store.paritystatus import PARITY_FILE, ParityStatus, read_parity, write_parity


def test_what_was_written_is_read_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / PARITY_FILE
    assert read_parity(path) is None
    for status in (ParityStatus(3600, 2), ParityStatus(7200, 0)):
        write_parity(path, status)
        assert read_parity(path) == status
    assert [each.name for each in tmp_path.iterdir()] == [PARITY_FILE]
    path.write_text("{}", encoding="ascii")
    assert read_parity(path) is None
