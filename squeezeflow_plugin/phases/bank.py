"""Many assets scored in one call: what a second costs beside the arithmetic is paid once, not an asset.

A call into compiled code, its checks and the record of a decision take some 7 us an asset from Python; the
second itself takes 0.4. A bank holds the engines' state side by side and steps all of them at once, by the
same machine code as ``Engine``, so the bits are the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import MAX_AMOUNT, MIN_PRICE, SHARE_SLACK, FloatArray, Flow
from squeezeflow_plugin.features.layout import (
    CLOSE,
    COVERAGE_S,
    HIGH,
    INPUT_COUNT,
    INPUT_NAMES,
    LOW,
    OI_CHANGE,
    REFERENCE_LIVE,
)
from squeezeflow_plugin.phases.kernels import score_rows, state_size
from squeezeflow_plugin.phases.layout import COLUMN_COUNT, COUNTER_SIZE, FROM_ZERO, NEVER
from squeezeflow_plugin.phases.params import Params

_ALL = np.arange(COLUMN_COUNT, dtype=np.int64)
_NONE = np.empty(0, dtype=np.int64)
# What each input may be at most and at least; NaN fails both, where it means "unknown" it is let through.
_LEAST = np.zeros(INPUT_COUNT)
_LEAST[: CLOSE + 1] = MIN_PRICE
_LEAST[OI_CHANGE] = -MAX_AMOUNT
_MOST = np.full(INPUT_COUNT, MAX_AMOUNT)
_MOST[COVERAGE_S:REFERENCE_LIVE] = 1.0 + SHARE_SLACK
_MOST[REFERENCE_LIVE] = 1.0


class EngineBank:
    """The engines of ``size`` assets, all at the same second.

    >>> bank = EngineBank(2)
    >>> row = np.array([1.0, 1.0, 1.0, 1.0, 5.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, np.nan])
    >>> bank.step(60, np.stack([row, row])).shape == (2, COLUMN_COUNT)
    True
    """

    def __init__(self, size: int, params: Params | None = None) -> None:
        self.params: Final = Params() if params is None else params
        self._rules = self.params.rules()
        self._flat = np.zeros((size, state_size(self._rules)))
        self._counters = np.empty((size, COUNTER_SIZE), dtype=np.int64)
        self._out = np.empty((size, 1, COLUMN_COUNT))
        self._seconds: list[int | None] = [None] * size
        for asset in range(size):
            self.reset(asset)

    def __len__(self) -> int:
        return len(self._flat)

    @property
    def state_bytes(self) -> int:
        """Bytes of state an asset."""
        return (self._flat.nbytes + self._counters.nbytes) // max(len(self), 1)

    def reset(self, asset: int) -> None:
        """Forget every row of one asset: after a revision of its past it is fed anew."""
        self._flat[asset] = 0.0
        self._counters[asset] = NEVER
        self._counters[asset, FROM_ZERO] = 0
        self._seconds[asset] = None

    def feed(self, asset: int, flow: Flow) -> None:
        """Take in rows of one asset that follow its last one, those that warm it up. Raises EngineError."""
        if len(flow) == 0:
            return
        first = int(flow.time[0])
        self._follow(asset, first)
        here = slice(asset, asset + 1)
        nothing = np.empty((1, len(flow), 0))
        inputs = flow.matrix()[np.newaxis]
        score_rows(self._flat[here], self._counters[here], self._rules, first, inputs, _NONE, nothing)
        self._seconds[asset] = int(flow.time[-1])

    def step(self, second: int, rows: FloatArray) -> FloatArray:
        """Score the next second of every asset: ``rows`` float64[size, 12] in the order of ``INPUT_NAMES``.

        Returns float64[size, COLUMN_COUNT], columns as ``Decision`` has them, valid until the next call.
        Raises EngineError, naming asset, field and value, where a row cannot be scored or does not follow;
        no asset is scored then.
        """
        _check(second, rows, len(self))
        expected = second - 1
        if self._seconds.count(expected) != len(self):
            for asset in range(len(self)):
                self._follow(asset, second)
        inputs = rows[:, :, np.newaxis]
        score_rows(self._flat, self._counters, self._rules, second, inputs, _ALL, self._out)
        self._seconds = [second] * len(self)
        return self._out[:, 0]

    def _follow(self, asset: int, second: int) -> None:
        last = self._seconds[asset]
        if last is not None and second != last + 1:
            raise EngineError(
                f"asset {asset}: second {second} does not follow {last}, the last one; nothing is scored"
            )


def _check(second: int, rows: FloatArray, size: int) -> None:
    if rows.shape != (size, INPUT_COUNT) or rows.dtype != np.float64 or not rows.flags.c_contiguous:
        raise EngineError(
            f"second {second}: rows must be float64[{size}, {INPUT_COUNT}], contiguous, were"
            f" {rows.dtype}{list(rows.shape)}; nothing is scored"
        )
    good = (rows >= _LEAST) & (rows <= _MOST)
    good[:, OI_CHANGE] |= np.isnan(rows[:, OI_CHANGE])
    good[:, HIGH] &= rows[:, HIGH] >= rows[:, LOW]
    good[:, REFERENCE_LIVE] &= np.floor(rows[:, REFERENCE_LIVE]) == rows[:, REFERENCE_LIVE]
    if not good.all():
        asset, place = (int(each) for each in np.argwhere(~good)[0])
        raise EngineError(
            f"asset {asset}, second {second}: {INPUT_NAMES[place]} {float(rows[asset, place])!r} cannot be"
            " used; nothing is scored"
        )
