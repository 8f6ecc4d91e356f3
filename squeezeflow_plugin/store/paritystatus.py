"""What the last ``squeezeflow parity`` of a data folder found: a small file that is replaced as a whole.

The collector shows it beside its own figures, so that a difference can raise an alert.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

PARITY_FILE = "parity.json"


class ParityStatus(msgspec.Struct, frozen=True):
    """``compared`` live decisions, and how many ``mismatches`` came out otherwise without a known cause.

    ``total`` are those of every comparison of the folder, this one included.
    """

    compared: int
    mismatches: int
    total: int = 0


def write_parity(path: Path, status: ParityStatus) -> None:
    """Replace the file; a reader finds the old one or the new one. OSError where the disk refuses."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(status))
    partial.replace(path)


def read_parity(path: Path) -> ParityStatus | None:
    """The file's content; None where there is none, or one that another version wrote."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ParityStatus)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
