"""The numbers kernels index by and the names the outside reads are one and the same."""

from __future__ import annotations

from squeezeflow_plugin.features import layout as at


def test_each_group_stands_where_its_number_says() -> None:
    for number, first in (
        (at.Z_SPOT, "z_spot_5m"),
        (at.Z_PERP, "z_perp_5m"),
        (at.Z_R, "z_r_5m"),
        (at.U_SPOT, "u_spot_5m"),
        (at.U_PERP, "u_perp_5m"),
        (at.COVERAGE_SPOT, "coverage_spot_5m"),
        (at.COVERAGE_PERP, "coverage_perp_5m"),
        (at.SIGMA_SPOT, "sigma_spot"),
        (at.SIGMA_R, "sigma_r"),
        (at.VOL_30M, "vol_30m"),
        (at.ACTIVITY_SPOT_15M, "activity_spot_15m"),
        (at.ACTIVITY_PERP_30M, "activity_perp_30m"),
        (at.RANGE_LOW, "range_low"),
        (at.DECELERATION, "deceleration"),
    ):
        assert at.FEATURE_NAMES[number] == first
    assert len(at.FEATURE_NAMES) == len(set(at.FEATURE_NAMES)) == at.FEATURE_COUNT


def test_windows_are_whole_blocks_of_the_history() -> None:
    assert tuple(blocks * at.BLOCK_ROWS for blocks in at.WINDOW_BLOCKS) == at.WINDOW_ROWS
    assert max(at.WINDOW_ROWS) <= at.HISTORY_ROWS
    assert at.NOISE_ROWS % at.BLOCK_ROWS == 0
    assert at.INPUT_NAMES[at.OI_CHANGE] == "oi_change"
    assert len(at.INPUT_NAMES) == at.INPUT_COUNT
