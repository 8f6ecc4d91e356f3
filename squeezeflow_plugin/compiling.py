"""How kernels are compiled: once an installation, kept on disk, and where there is no disk, at each start."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Part = TypeVar("_Part", bound=Callable[..., Any])

UNCOUNTED = {"_nrt": False}
"""For kernels in which nothing is allocated, so that no reference need be counted. It halves what reading a
frame takes (545 to 255 ns; msgspec's typed decode of the same one 310)."""


def uncounted_part(function: _Part) -> _Part:
    """A part of such kernels. Inlined, for called it would cost half as much again."""
    inlined: Any = njit(inline="always", error_model="numpy", **UNCOUNTED)  # type: ignore[call-overload]  # its stubs know no _nrt
    made: _Part = inlined(function)
    return made


def compiled(kernel: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Numba's compiled form of a kernel, from its cache where it was compiled before.

    The cache lies in the folder that ``NUMBA_CACHE_DIR`` names, else beside the module (``__pycache__``),
    else, where that is read-only as in a system-wide installation, in the user's cache folder. Where none of
    them can be written the kernel is compiled in memory, with a RuntimeWarning that says what to set.
    ``options`` are further ones of ``numba.njit``.
    """
    try:
        found: Callable[..., Any] = njit(cache=True, error_model="numpy", **options)(kernel)
    except RuntimeError as error:  # Numba's for "no locator available"
        warnings.warn(
            f"compiled code of {kernel.__name__} cannot be kept ({error}); it is compiled at each start,"
            " some 20 s in all. Set NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
        found = njit(error_model="numpy", **options)(kernel)
    return found
