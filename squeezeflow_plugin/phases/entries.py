"""What an entry needs beside the method's ``entry`` and ``tradable``: its own second's feeds.

``tradable`` asks for the mean coverage of five minutes and more. A feed that carries half of a class and was
lost in this second lowers that mean below its limit 12 s later only; an entry is refused at once.
"""

from __future__ import annotations

from squeezeflow_plugin.features.flow import FloatArray

_EPS = 1e-9
LOST_SPOT, LOST_PERP = "feed_lost_spot", "feed_lost_perp"


def lost_feed(coverage_spot: float, coverage_perp: float, least: float) -> str:
    """The class whose coverage in this second is less than ``least``, as a reason; empty where none is.

    >>> lost_feed(1.0, 0.5, 0.98), lost_feed(1.0, 1.0, 0.98)
    ('feed_lost_perp', '')
    """
    if coverage_spot < least - _EPS:
        return LOST_SPOT
    return LOST_PERP if coverage_perp < least - _EPS else ""


def fed(coverage_spot: FloatArray, coverage_perp: FloatArray, least: float) -> FloatArray:
    """1.0 in the rows in which ``lost_feed`` finds nothing, else 0.0: float64[n].

    >>> import numpy as np
    >>> fed(np.array([1.0, 0.9]), np.array([1.0, 1.0]), 0.98).tolist()
    [1.0, 0.0]
    """
    covered = (coverage_spot >= least - _EPS) & (coverage_perp >= least - _EPS)
    return covered.astype("float64")
