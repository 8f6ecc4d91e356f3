"""What the last ``squeezeflow parity`` of a data folder found: a small file that is replaced as a whole.

The collector shows it beside its own figures, so that a difference can raise an alert.
"""

from __future__ import annotations

import msgspec

PARITY_FILE = "parity.json"


class ParityStatus(msgspec.Struct, frozen=True):
    """``compared`` live decisions, and how many ``mismatches`` came out otherwise without a known cause.

    ``total`` are those of every comparison of the folder, this one included.
    """

    compared: int
    mismatches: int
    total: int = 0
