"""Single rows and columns agree on which feeds were lost."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.phases.entries import fed, lost_feed


def test_rows_and_columns_agree() -> None:
    shares = np.array([0.0, 0.5, 0.98 - 1e-6, 0.98 - 1e-12, 0.98, 1.0])
    spot, perp = (axis.ravel() for axis in np.meshgrid(shares, shares))
    one_by_one = [lost_feed(*pair, 0.98) == "" for pair in zip(spot.tolist(), perp.tolist(), strict=True)]
    assert fed(spot, perp, 0.98).tolist() == one_by_one
