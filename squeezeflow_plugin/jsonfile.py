"""Small JSON files that other programs read while they are written: each is replaced as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from squeezeflow_plugin.errors import StoreError

T = TypeVar("T")


def replace_json(path: Path, value: Any, *, indented: bool = False) -> None:
    """Put the value into the file; a reader finds the old one or the new one.

    Raises OSError where the disk refuses or the folder is missing; the old file stays then.
    """
    body = msgspec.json.encode(value)
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(body) if indented else body)
    partial.replace(path)


def read_json(path: Path, kind: type[T]) -> T | None:
    """The file's content; None where there is none, or one that another version wrote.

    Raises StoreError where it is there and cannot be read, as another user's may be.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error}; what it says is not known") from error
