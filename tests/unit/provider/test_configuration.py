"""FreqTrade's configuration is read as FreqTrade reads it, and a mistake in it is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.provider.configuration import read_configuration


def test_comments_and_trailing_commas_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{\n  // mine\n  "dry_run": true, /* yes */\n  "pairs": ["BTC/USDT",],\n}')
    assert read_configuration(path) == {"dry_run": True, "pairs": ["BTC/USDT"]}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{\n"\xc3\xa4": 1,\nbroken', r"config\.json, line 3: Parse error at offset \d+: Missing a name"),
        (b"", r"config\.json, line 1: Parse error at offset 0: The document is empty"),
        (b"[]", r"config\.json must hold a JSON object, but holds a list; nothing is done"),
        (b"\xff", r"config\.json cannot be read: .*utf-8.*; nothing is done"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, body: bytes, told: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(body)
    with pytest.raises(SettingsError, match=told):
        read_configuration(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.json cannot be read: No such file or directory; nothing"):
        read_configuration(tmp_path / "none.json")
