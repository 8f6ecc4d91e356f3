"""Outputs stand behind the features, in the order of their names."""

from __future__ import annotations

from squeezeflow_plugin.phases import layout as to


def test_each_output_stands_where_its_number_says() -> None:
    for index, name in enumerate(to.COLUMN_NAMES[to.CONTEXT :], start=to.CONTEXT):
        number = to.VETO if name == "veto_code" else getattr(to, name.upper())
        assert number == index, name
    assert len(set(to.COLUMN_NAMES)) == len(to.COLUMN_NAMES) == to.COLUMN_COUNT


def test_reasons_and_exits_are_named_in_their_order() -> None:
    assert to.VETO_NAMES[to.VETO_WARMING_UP] == "warming_up"
    assert to.VETO_NAMES[to.VETO_REFERENCE] == "reference_stale"
    assert to.VETO_NAMES[to.VETO_HOLE :] == (
        "hole_spot_5m",
        "hole_perp_5m",
        "hole_spot_15m",
        "hole_perp_15m",
        "hole_spot_30m",
        "hole_perp_30m",
        "hole_spot_1h",
        "hole_perp_1h",
    )
    assert to.EXIT_NAMES[to.EXIT_FLOW] == "flow_reversal"
    assert to.EXIT_NAMES[to.EXIT_CONTEXT] == "context_invalidation"
