"""A row's inputs as one number, logged beside each live decision."""

from __future__ import annotations

import hashlib
import math
import struct

from squeezeflow_plugin.features.flow import FlowRow

INPUTS = "inputs"
"""The name under which the digest is logged."""
_DIGEST_BYTES = 6  # so that a float64 holds it as a whole number
_PACKING = struct.Struct("<13d")


def input_digest(row: FlowRow) -> float:
    """The digest of a row, a whole number below 2^48: equal rows give equal numbers, others hardly ever.

    With it a replay can say at which second the stored data are not what was decided on; the windows over
    that second make later decisions differ too, but not their own inputs.

    >>> row = FlowRow(60, 1.0, 1.0, 1.0, 1.0, 5.0, 0.0, 0.0, 0.0)
    >>> input_digest(row) == input_digest(row._replace(oi_change=-math.nan))
    True
    >>> input_digest(row) == input_digest(row._replace(spot_buy=0.0, spot_sell=5.0))
    False
    """
    numbers = (math.nan if math.isnan(value) else value for value in row)
    packed = _PACKING.pack(*numbers)
    return float(int.from_bytes(hashlib.blake2b(packed, digest_size=_DIGEST_BYTES).digest(), "little"))
