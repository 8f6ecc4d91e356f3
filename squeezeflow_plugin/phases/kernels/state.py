"""What a row needs of earlier rows: numbers in one flat array, behind those of the features.

Counters (row numbers at which something was last seen) are kept apart; phases/layout.py names them.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.features import kernels as fk
from squeezeflow_plugin.features import layout as at
from squeezeflow_plugin.features.kernels import feature_state_size, kernel_part
from squeezeflow_plugin.phases import layout as to
from squeezeflow_plugin.phases.params import Rules

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

EPS = at.EPS


class PhaseState(NamedTuple):
    """Views into the flat array, behind those of the features; a ring is as ``keep_largest`` wants it."""

    setups: FloatArray  # [setup_ttl + 2, 4]
    explosions: FloatArray  # [explosion_memory + 2, 2]
    peaks: FloatArray  # [reset_ttl + 2, 2]
    row: FloatArray  # [COLUMN_COUNT] features and outputs of the row at hand
    strongest: FloatArray  # [4] the row's own setup, then the largest in memory
    peak: FloatArray  # [2] the row's own retrace, then the largest in memory


def state_size(rules: Rules) -> int:
    """How many float64 the state of one asset takes."""
    setups = (rules.setup_ttl + 2) * to.SETUP_WIDTH
    peaks = (rules.explosion_memory + 2 + rules.reset_ttl + 2) * to.PEAK_WIDTH
    own = setups + peaks + to.COLUMN_COUNT + to.SETUP_WIDTH + to.PEAK_WIDTH
    return feature_state_size(rules.noise_rows) + own


@kernel_part
def phase_state(flat: FloatArray, rules: Rules) -> PhaseState:
    start = fk.FIXED_SIZE + rules.noise_rows // at.BLOCK_ROWS * fk.NOISE_BLOCK_SIZE
    a = start + (rules.setup_ttl + 2) * to.SETUP_WIDTH
    b = a + (rules.explosion_memory + 2) * to.PEAK_WIDTH
    c = b + (rules.reset_ttl + 2) * to.PEAK_WIDTH
    d = c + to.COLUMN_COUNT
    return PhaseState(
        flat[start:a].reshape((rules.setup_ttl + 2, to.SETUP_WIDTH)),
        flat[a:b].reshape((rules.explosion_memory + 2, to.PEAK_WIDTH)),
        flat[b:c].reshape((rules.reset_ttl + 2, to.PEAK_WIDTH)),
        flat[c:d],
        flat[d : d + to.SETUP_WIDTH],
        flat[d + to.SETUP_WIDTH : d + to.SETUP_WIDTH + to.PEAK_WIDTH],
    )


@kernel_part
def keep_largest(ring: FloatArray, places: IntArray, which: int, values: FloatArray, width: int) -> None:
    """Replace ``values`` (``width`` of them, 0 or more) by the largest of the memory, theirs included.

    ``ring`` float64[memory + 2, width] goes round, ``places[which]`` is where. From the place on stand the
    suffix maxima of the last round, before it the raw values of this one; the last row but one
    stays 0, the last is the maximum of this round.
    """
    memory = ring.shape[0] - 2
    place = places[which]
    for k in range(width):
        value = values[k]
        largest = value if place == 0 else max(ring[memory + 1, k], value)
        ring[memory + 1, k] = largest
        values[k] = max(largest, ring[place + 1, k])
        ring[place, k] = value
    places[which] = place + 1
    if place == memory - 1:
        places[which] = 0
        for earlier in range(memory - 2, -1, -1):
            for k in range(width):
                ring[earlier, k] = max(ring[earlier, k], ring[earlier + 1, k])


def sources() -> str:
    """A digest of every file that the compiled functions are made from.

    It is part of the key of Numba's disk cache, which by itself notices a change of the compiled function's
    own file only, and would go on running what the other files once said.
    """
    files = [Path(fk.__file__), Path(at.__file__), Path(to.__file__), *Path(__file__).parent.glob("*.py")]
    return sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()
