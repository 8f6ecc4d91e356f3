"""FreqTrade's configuration file, read before FreqTrade does: a mistake in it is named with its line.

FreqTrade's parser is used with its options, because its files may hold comments and trailing commas.
FreqTrade itself is not imported: ``squeezeflow up`` only starts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rapidjson

from squeezeflow_plugin.errors import SettingsError


def read_configuration(path: Path) -> Mapping[str, Any]:
    """What the file says. Raises SettingsError, with the line of what cannot be parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{path} cannot be read: {reason}; nothing is done") from error
    try:
        found = rapidjson.loads(text, parse_mode=rapidjson.PM_COMMENTS | rapidjson.PM_TRAILING_COMMAS)
    except rapidjson.JSONDecodeError as error:
        told = str(error).rstrip(".")
        raise SettingsError(f"{path}, line {_line(text, told)}: {told}; nothing is done") from error
    if not isinstance(found, dict):
        raise SettingsError(
            f"{path} must hold a JSON object, but holds a {type(found).__name__}; nothing is done"
        )
    return found


def _line(text: str, error: str) -> int:
    """The line of the offset, in UTF-8 bytes, that the parser names: ``Parse error at offset 12: ...``.

    >>> _line("{\\n broken", "Parse error at offset 3: Missing a name for object member.")
    2
    """
    offset = next((int(word.rstrip(":")) for word in error.split() if word.rstrip(":").isdecimal()), 0)
    return text.encode()[:offset].count(b"\n") + 1
