"""Fixtures of the integration tests."""

from __future__ import annotations

from tests.integration.binance_venue import venue
from tests.integration.rehearsal import rehearsal, story

__all__ = ["rehearsal", "story", "venue"]
