"""``make test`` in two processes: nothing is left out, nothing that fails passes, reports stay whole."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.halves import WAITING, Half, halves, main, play, report_coverage

ROOT = Path(__file__).parents[2]


def told(*lines: str, status: int = 0) -> tuple[str, ...]:
    """A program that says these lines and ends."""
    return (sys.executable, "-c", f"import sys; print({chr(10).join(lines)!r}); sys.exit({status})")


def test_what_one_half_is_given_the_other_leaves_out(tmp_path: Path) -> None:
    waits, computes = halves(tmp_path)
    assert [path for path in WAITING if not (ROOT / path).is_file()] == []
    assert waits.command[-len(WAITING) :] == WAITING
    assert {word for word in computes.command if word.startswith("--ignore")} == {
        f"--ignore={path}" for path in WAITING
    }
    assert waits.environ["COVERAGE_FILE"] != computes.environ["COVERAGE_FILE"]


def test_progress_is_told_as_it_comes_and_a_report_in_one_piece() -> None:
    out = io.StringIO()
    report = ("= FAILURES =", "    assert 1 == 2", "1 failed")
    one = Half("one", told("...F [100%]", *report, status=1))
    assert play([one, Half("other", told("....s [100%]", "5 passed"))], out) == {"one": 1, "other": 0}
    lines = out.getvalue().splitlines()
    assert {"one    ...F [100%]", "other  ....s [100%]"} <= set(lines)
    place = lines.index(report[0])
    assert tuple(lines[place : place + 3]) == report
    assert lines[place - 1].startswith("== one: status 1 after ")


def test_a_half_has_its_own_environment() -> None:
    out = io.StringIO()
    program = (sys.executable, "-c", "import os; print(os.environ['COVERAGE_FILE'])")
    assert play([Half("one", program, {"COVERAGE_FILE": "here"})], out) == {"one": 0}
    assert "\nhere\n" in out.getvalue()


@pytest.mark.parametrize(("statuses", "covered", "status"), [
    ({"waits": 0, "computes": 0}, 0, 0),
    ({"waits": 0, "computes": 1}, 0, 1),
    ({"waits": 2, "computes": 0}, 0, 1),
    ({"waits": 0, "computes": 0}, 2, 1),
])  # fmt: skip
def test_whatever_fails_fails_the_whole(
    statuses: dict[str, int], covered: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.halves.play", lambda *_: statuses)
    monkeypatch.setattr("tests.halves.report_coverage", lambda _: covered)
    assert main() == status


def test_coverage_that_is_not_there_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert report_coverage(tmp_path) != 0
