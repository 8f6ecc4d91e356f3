"""The dependency audit never calls clean what nobody audited."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.audit import Package, Report, Vulnerability, ask, judge

SKIPPED = Package("ours", skip_reason="Dependency not found on PyPI and could not be audited: ours (1)")
HIT = Package("old", "1.0", vulns=(Vulnerability("PYSEC-2026-1", ("1.1",)),))


@pytest.mark.parametrize("required", [False, True])
def test_what_was_not_audited_is_named(required: bool) -> None:
    status, lines = judge(Report((Package("fine", "2"), SKIPPED)), required=required)
    assert status == int(required)
    assert lines == [f"audit: NOT AUDITED: 1 of 2 packages (ours): {SKIPPED.skip_reason}"]
    assert judge(Report(()), required=required)[0] == int(required)


@pytest.mark.parametrize("others", [(), (SKIPPED,)])
def test_a_known_vulnerability_fails_whatever_else_was_skipped(others: tuple[Package, ...]) -> None:
    status, lines = judge(Report((HIT, *others)), required=False)
    assert status == 1
    assert lines[0] == "audit: old 1.0: PYSEC-2026-1, fixed in 1.1"


def test_pip_audits_own_report_is_read() -> None:
    text = (
        b'{"dependencies": [{"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217",'
        b' "fix_versions": ["2.10.1"], "aliases": ["CVE-2019-10906"], "description": "..."}]}], "fixes": []}'
    )
    assert judge(msgspec.json.decode(text, type=Report), required=False)[0] == 1


def test_a_file_that_pip_audit_cannot_read_is_no_clean_report(tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("???\n", encoding="utf-8")
    assert isinstance(ask([pins]), str)
