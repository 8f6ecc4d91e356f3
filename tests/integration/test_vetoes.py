"""The short form of the faults beside a trading bot: entries stop, with a reason, and come back.

How soon they stop is judged by `python -m tests.soak --schedule vetoes`, on a machine that does nothing else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.vetoes import SHORT, run_short


@pytest.mark.slow
def test_entries_stop_on_every_fault_and_are_allowed_again_by_themselves(tmp_path: Path) -> None:
    outcome = run_short("short", tmp_path, seed=1)
    assert [each.name for each in outcome.met] == list(SHORT)
    assert not any(each.entries for each in outcome.met), outcome.line()
    reasons = {each.name: each.reason for each in outcome.met}
    assert "was not closed in time" in reasons["dead store"]
    assert "was not closed in time" in reasons["dead collector"]
    assert reasons["disconnect"] == "feed_lost_spot"
    assert reasons["silence"] in {"reference_stale", "feed_lost_perp"}
    assert outcome.decisions > 0
    assert outcome.differences == 0
