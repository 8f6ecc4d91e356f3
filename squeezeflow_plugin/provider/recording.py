"""Recorded features beside the rows of a data set: made once, mapped into memory by every epoch of a search.

No parameter of a search changes a feature, so an epoch starts from them; the same is done for the rows as
noise. A file belongs to its set's data (the folder), to the noise scales and to the build that made it (its
name), is written under another name first, and is forgotten together with the set.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.features.batch import FeatureRecorder
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.features.layout import RECORD_WIDTH
from squeezeflow_plugin.features.noise import NoiseMaker
from squeezeflow_plugin.phases.engine import fingerprint
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.datadir import rows_path
from squeezeflow_plugin.provider.materialise import DataSet

_LOG = logging.getLogger(__name__)
_PIECE_S = 4 * 3600
_SEED = 1


@dataclass(frozen=True, eq=False)
class Recording:
    """The recorded features of a pair's seconds from ``first`` on, and of the same seconds as noise.

    Both are float64[n, RECORD_WIDTH], mapped into memory; see ``FeatureRecorder``.
    """

    first: int
    features: FloatArray
    noise: FloatArray


def recording(data: DataSet, pair: str, noise_rows: int) -> Recording:
    """The pair's recording with noise scales over ``noise_rows``; made where the set has none yet.

    Raises StoreError where it cannot be written, KeyError for a pair that is not in the set.
    """
    first = data.manifest.pairs[pair].first_priced
    made = {}
    for kind in ("features", "noise"):
        path = _path(data, pair, kind, noise_rows)
        try:
            if not path.exists():
                _write(path, _pieces(data, pair, kind), data.manifest.stop - first, noise_rows)
            made[kind] = np.load(path, mmap_mode="r")
        except OSError as error:
            raise StoreError(f"features {path} cannot be recorded: {error}; nothing is searched") from error
    return Recording(first, made["features"], made["noise"])


def _path(data: DataSet, pair: str, kind: str, noise_rows: int) -> Path:
    build = hashlib.blake2b(f"{fingerprint(Params())} {_SEED}".encode(), digest_size=6).hexdigest()
    return rows_path(data.folder, pair).with_suffix(f".{kind}-{noise_rows}-{build}.npy")


def _pieces(data: DataSet, pair: str, kind: str) -> Iterator[Flow]:
    maker = NoiseMaker(_SEED)
    for begin in range(data.manifest.pairs[pair].first_priced, data.manifest.stop, _PIECE_S):
        flow = data.flow(pair, begin, begin + _PIECE_S)
        yield maker.shuffled(flow) if kind == "noise" else flow


def _write(path: Path, pieces: Iterator[Flow], rows: int, noise_rows: int) -> None:
    unfinished = path.with_name(f".{uuid.uuid4().hex}.npy")
    out = np.lib.format.open_memmap(unfinished, "w+", np.float64, (rows, RECORD_WIDTH))
    try:
        recorder, place = FeatureRecorder(noise_rows), 0
        for flow in pieces:
            out[place : place + len(flow)] = recorder.record(flow)
            place += len(flow)
        out.flush()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    _LOG.info("%s: %d seconds recorded, %.0f MB", path.name, rows, path.stat().st_size / 1e6)
