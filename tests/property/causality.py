"""A checker for look-ahead: cutting a frame after any row may change no row up to there."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

Scorer = Callable[[pd.DataFrame], npt.NDArray[np.float64]]


def first_row_that_knew_the_future(score: Scorer, frame: pd.DataFrame, cuts: Iterable[int]) -> int | None:
    """The first row whose scores differ once the rows after a cut are taken away; None where none does.

    ``score`` gives float64[n, k] for a frame of n rows; ``cuts`` are numbers of rows kept.
    """
    whole = score(frame)
    changed = []
    for cut in cuts:
        different = (score(frame.iloc[:cut]) != whole[:cut]).any(axis=1)
        changed.extend(np.flatnonzero(different)[:1].tolist())
    return min(changed, default=None)
