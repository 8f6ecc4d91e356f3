"""A sample of the spoiled frames that ``make soak`` feeds by the hundred thousand."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.feeds.registry import names
from tests.soak.fuzz import fuzz

# They compute for long what faster tests have measured: the tracer would triple their time.
pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("exchange", names())
def test_spoiled_frames_are_read_or_named_and_counted(exchange: str) -> None:
    outcome = fuzz(exchange, seed=1, frames=500)
    assert outcome.parsed > 0
    assert outcome.rejected > 100
    assert outcome.counted == outcome.rejected
    assert outcome.reasons > 1
