"""A comparison's status is read as it was written."""

from __future__ import annotations

from pathlib import Path

from squeezeflow_plugin.jsonfile import read_json, replace_json
from squeezeflow_plugin.store.paritystatus import PARITY_FILE, ParityStatus


def test_what_was_written_is_read(tmp_path: Path) -> None:
    replace_json(tmp_path / PARITY_FILE, ParityStatus(3600, 2))
    assert read_json(tmp_path / PARITY_FILE, ParityStatus) == ParityStatus(3600, 2, 0)
