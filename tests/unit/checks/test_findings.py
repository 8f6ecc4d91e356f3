"""Only a failure makes the status 1."""

from __future__ import annotations

from squeezeflow_plugin.checks.findings import Finding, Level, exit_status


def test_status() -> None:
    fine = [Finding("x", level, "") for level in (Level.OK, Level.WARN, Level.SKIP)]
    assert exit_status([]) == 0
    assert exit_status(fine) == 0
    assert exit_status([*fine, Finding("y", Level.FAIL, "gone")]) == 1
