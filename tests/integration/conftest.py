"""Fixtures of the integration tests."""

from __future__ import annotations

from tests.integration.rehearsal import rehearsal, story

__all__ = ["rehearsal", "story"]
