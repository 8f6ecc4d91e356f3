"""How kernels are compiled: once an installation, kept on disk, and where there is no disk, at each start."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Numba's compiled form of a kernel, from its cache where it was compiled before.

    The cache lies in the folder that ``NUMBA_CACHE_DIR`` names, else beside the module (``__pycache__``),
    else, where that is read-only as in a system-wide installation, in the user's cache folder. Where none of
    them can be written the kernel is compiled in memory, with a RuntimeWarning that says what to set.
    """
    try:
        found: Callable[..., Any] = njit(cache=True, error_model="numpy")(kernel)
    except RuntimeError as error:  # Numba's for "no locator available"
        warnings.warn(
            f"compiled code of {kernel.__name__} cannot be kept ({error}); it is compiled at each start,"
            " some 20 s in all. Set NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
        found = njit(error_model="numpy")(kernel)
    return found
