"""Ask whether the pinned packages have known vulnerabilities: ``python -m tests.audit``.

pip-audit asks PyPI's JSON API, which a mirror may lack and a machine may not reach. It then reports each
package as skipped and says "no known vulnerabilities", so its report is read here: what was not audited is
named and never counts as clean. ``AUDIT=required`` makes that a failure, as a public host should.

Exit status: 0 every package was audited and is clean, or some could not be (said on stderr); 1 a package has
a known vulnerability, or could not be audited with ``AUDIT=required``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
PINS = (ROOT / "constraints.txt",)
_PATIENCE_S = 300
_TOLD = 5


class Vulnerability(msgspec.Struct, frozen=True):
    """One advisory, by its name."""

    id: str
    fix_versions: tuple[str, ...] = ()


class Package(msgspec.Struct, frozen=True):
    """One pinned package; ``skip_reason`` where it was not audited."""

    name: str
    version: str = ""
    skip_reason: str = ""
    vulns: tuple[Vulnerability, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """What pip-audit writes with ``--format json``."""

    dependencies: tuple[Package, ...]


def judge(report: Report, *, required: bool) -> tuple[int, list[str]]:
    """Exit status and lines of a report.

    >>> judge(Report((Package("a", "1"),)), required=True)
    (0, ['audit: 1 packages, no known vulnerability'])
    >>> judge(Report((Package("a", skip_reason="not found"),)), required=False)
    (0, ['audit: NOT AUDITED: 1 of 1 packages (a): not found'])
    """
    lines, status = [], 0
    for package in report.dependencies:
        for each in package.vulns:
            fixed = ", ".join(each.fix_versions) or "no version yet"
            lines.append(f"audit: {package.name} {package.version}: {each.id}, fixed in {fixed}")
            status = 1
    skipped = [package for package in report.dependencies if package.skip_reason]
    if skipped or not report.dependencies:
        names = ", ".join(package.name for package in skipped[:_TOLD])
        more = ", ..." if len(skipped) > _TOLD else ""
        reason = skipped[0].skip_reason if skipped else "the report is empty"
        of_all = f"{len(skipped)} of {len(report.dependencies)} packages"
        lines.append(f"audit: NOT AUDITED: {of_all} ({names}{more}): {reason}")
        status = max(status, int(required))
    elif status == 0:
        lines.append(f"audit: {len(report.dependencies)} packages, no known vulnerability")
    return status, lines


def ask(pins: Sequence[Path]) -> Report | str:
    """pip-audit's report on these files, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "audit.json"
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "--no-deps",
            "--disable-pip",
            "--progress-spinner",
            "off",
        ]
        command += ["--format", "json", "--output", str(out)]
        for path in pins:
            command += ["--requirement", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
        except subprocess.TimeoutExpired:
            return f"the advisory service did not answer within {_PATIENCE_S} s"
        if not out.exists():
            said = done.stderr.strip().splitlines()
            return said[-1] if said else f"pip-audit ended with status {done.returncode}"
        return msgspec.json.decode(out.read_bytes(), type=Report)


def main() -> int:
    """Ask, tell, judge."""
    required = os.environ.get("AUDIT") == "required"
    report = ask(PINS)
    if isinstance(report, str):
        status, lines = int(required), [f"audit: NOT AUDITED: {report}"]
    else:
        status, lines = judge(report, required=required)
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
