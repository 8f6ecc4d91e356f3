"""``make test`` in parts: nothing is left out, nothing that fails passes, reports stay whole."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.parts import AT_ONCE, COMPUTING, WAITING, Part, main, parts, play, report_coverage

ROOT = Path(__file__).parents[2]


def told(*lines: str, status: int = 0) -> tuple[str, ...]:
    """A program that says these lines and ends."""
    return (sys.executable, "-c", f"import sys; print({chr(10).join(lines)!r}); sys.exit({status})")


def left_out(part: Part) -> set[str]:
    return {word.removeprefix("--ignore=") for word in part.command if word.startswith("--ignore=")}


def test_what_one_part_is_given_the_others_leave_out(tmp_path: Path) -> None:
    waits, *folders, others = parts(tmp_path)
    assert [path for path in WAITING if not (ROOT / path).is_file()] == []
    assert waits.command[-len(WAITING) :] == WAITING
    assert left_out(waits) == set()
    for part, folder in zip(folders, COMPUTING, strict=True):
        assert (ROOT / folder).is_dir()
        assert folder in part.command
        assert left_out(part) == set(WAITING)
    assert left_out(others) == {*WAITING, *COMPUTING}
    assert not {*WAITING, *COMPUTING}.intersection(others.command)
    everything = (waits, *folders, others)
    assert len({part.environ["COVERAGE_FILE"] for part in everything}) == len(everything)


def test_every_test_is_in_one_part_and_only_once(tmp_path: Path) -> None:
    """By the paths that each part is given and leaves out, for every file in which pytest finds tests."""
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    held = [file for part in parts(tmp_path) for file in files if holds(part, file)]
    assert sorted(held) == sorted(files)


def holds(part: Part, file: str) -> bool:
    """Whether the part runs the file; one that is given no path runs all it does not leave out."""
    given = {word for word in part.command if word.startswith("tests/")}
    inside = not given or any(Path(file).is_relative_to(path) for path in given)
    return inside and not any(Path(file).is_relative_to(path) for path in left_out(part))


def test_progress_is_told_as_it_comes_and_a_report_in_one_piece() -> None:
    out = io.StringIO()
    report = ("= FAILURES =", "    assert 1 == 2", "1 failed")
    one = Part("one", told("...F [100%]", *report, status=1))
    assert play([one, Part("other", told("....s [100%]", "5 passed"))], out) == {"one": 1, "other": 0}
    lines = out.getvalue().splitlines()
    assert {"one    ...F [100%]", "other  ....s [100%]"} <= set(lines)
    place = lines.index(report[0])
    assert tuple(lines[place : place + 3]) == report
    assert lines[place - 1].startswith("== one: status 1 after ")


def test_a_part_has_its_own_environment() -> None:
    out = io.StringIO()
    program = (sys.executable, "-c", "import os; print(os.environ['COVERAGE_FILE'])")
    assert play([Part("one", program, {"COVERAGE_FILE": "here"})], out) == {"one": 0}
    assert "\nhere\n" in out.getvalue()


def test_the_next_part_begins_when_one_has_ended(tmp_path: Path) -> None:
    """The second part ends when the third has begun, which is when the first has ended."""
    begun = tmp_path / "begun"
    waiting = f"import os, time\nwhile not os.path.exists({str(begun)!r}): time.sleep(0.01)"
    three = (
        Part("one", told("1 passed")),
        Part("two", (sys.executable, "-c", waiting)),
        Part("three", (sys.executable, "-c", f"open({str(begun)!r}, 'w').close()")),
    )
    assert len(three) > AT_ONCE
    assert play(three, io.StringIO()) == {"one": 0, "two": 0, "three": 0}


@pytest.mark.parametrize(("statuses", "covered", "status"), [
    ({"waits": 0, "computes": 0}, 0, 0),
    ({"waits": 0, "computes": 1}, 0, 1),
    ({"waits": 2, "computes": 0}, 0, 1),
    ({"waits": 0, "computes": 0}, 2, 1),
])  # fmt: skip
def test_whatever_fails_fails_the_whole(
    statuses: dict[str, int], covered: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.parts.play", lambda *_: statuses)
    monkeypatch.setattr("tests.parts.report_coverage", lambda _: covered)
    assert main() == status


def test_coverage_that_is_not_there_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert report_coverage(tmp_path) != 0
