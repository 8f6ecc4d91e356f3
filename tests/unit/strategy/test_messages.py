"""Messages explain in one line."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.phases.decision import Decision, decision_of
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, EXIT_NAMES
from squeezeflow_plugin.phases.tags import EnterTag
from squeezeflow_plugin.strategy.messages import entered, left
from squeezeflow_plugin.strategy.trades import Fill, OpenTrade

E = 1_700_000_137
FILL = Fill(True, (E + 90) * 10**9, (E + 90) * 10**9, 2632.88, 500.0)


def event(**fields: float) -> Decision:
    return decision_of(E, np.array([float(fields.get(name, 0.0)) for name in COLUMN_NAMES]))


def trade(direction: int = -1) -> OpenTrade:
    return OpenTrade("ETH/USDT:USDT", 1, direction, EnterTag(5.94, E))


def test_an_entry_names_its_parts_and_what_they_came_from() -> None:
    found = event(
        score_reset=3.1, score_bias=0.9, z_spot_15m=-3.2, z_perp_15m=4.1, retrace_peak=0.32,
        coverage_spot_1h=1.0, coverage_perp_1h=0.99,
    )  # fmt: skip  # fields
    assert entered(trade(), found, FILL, 2.0) == (
        "ETH/USDT:USDT short 2x at 2632.88, score 5.94 (reset 3.1, bias 0.9): spot z -3.2, perps z +4.1 in"
        " 15 min, 32% of the gap given back, coverage 99%"
    )


def test_an_event_of_another_second_says_nothing() -> None:
    assert entered(trade(), None, FILL, 1.0) == "ETH/USDT:USDT short at 2632.88, score 5.94"
    other = OpenTrade("ETH/USDT:USDT", 1, -1, EnterTag(5.94, E + 1))
    assert entered(other, event(), FILL, 1.0) == "ETH/USDT:USDT short at 2632.88, score 5.94"


def test_every_exit_of_the_method_is_explained() -> None:
    for name in EXIT_NAMES[1:]:
        line = left(trade(), name, FILL)
        assert line.startswith(f"ETH/USDT:USDT short left after 1.5 min at 2632.88, {name}: ")
        assert "\n" not in line
    assert left(trade(), "my_own", FILL).endswith(", my_own")
