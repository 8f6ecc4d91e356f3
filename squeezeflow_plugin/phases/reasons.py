"""An explanation in words: one line that says what happened or what was missing, and the lines behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

from squeezeflow_plugin.phases.evidence import Check, Term
from squeezeflow_plugin.phases.explain import Explanation, SetupMemory

_SIDES = {1: "long", -1: "short"}


def clock(second: int) -> str:
    """The time of day in UTC.

    >>> clock(1_700_000_587)
    '22:23:07'
    """
    return f"{dt.datetime.fromtimestamp(second, dt.UTC):%H:%M:%S}"


def reason(told: Explanation) -> str:
    """Why there is an entry at this second, or why there is none: the first thing that was missing."""
    if not told.decision.ready:
        return f"warming up: {told.rows:,} of {told.params.warmup_rows:,} rows"
    if told.decision.entry:
        return _of_entry(told)
    if told.setup is None:
        return f"no setup: {_nearest(told.divergence)}"
    since = f"setup {_SIDES[told.setup.direction]} since {clock(told.setup.since)}"
    missed = [check for check in told.entry if not check.holds]
    if any(check.name == "reset_active" for check in missed):
        return f"{since}, no reset: {_of_reset(told)}"
    return f"{since}, no entry: {', '.join(map(str, missed))}" if missed else f"{since}, {_of_event(told)}"


def _of_event(told: Explanation) -> str:
    """Why a row that qualifies is no event."""
    second, every = told.decision.second, told.params.decide_every
    if (second + 1) % every:
        return f"qualifies: {clock(second + every - (second + 1) % every)} decides"
    if told.last_qualified is None:
        return "qualifies"
    return (
        f"qualifies, no new event: {clock(told.last_qualified)} qualified too,"
        f" {second - told.last_qualified} s before"
    )


def _of_entry(told: Explanation) -> str:
    decision = told.decision
    what = f"entry {_SIDES[decision.entry]}"
    if decision.event:
        what += f": score {decision.score:.2f} >= {told.params.min_score:.2f}"
    elif told.last_event is not None:
        what += f", held since the event of {clock(told.last_event)}"
    return what if decision.tradable else f"{what}; not traded: {veto_reason(told)}"


def veto_reason(told: Explanation) -> str:
    """The veto with its value, empty where the second is tradable.

    A hole names the mean coverage of its class and window.
    """
    veto = told.decision.veto
    if veto.startswith("hole_"):
        share: float = getattr(told.decision, veto.replace("hole_", "coverage_"))
        return f"{veto}, coverage {share:.4f} < {told.params.min_coverage:.4f}"
    return veto


def _nearest(divergence: dict[str, tuple[Check, ...]]) -> str:
    """The window with the fewest unmet checks, and which those are."""
    window = min(divergence, key=lambda name: sum(not check.holds for check in divergence[name]))
    missed = [str(check) for check in divergence[window] if not check.holds]
    return ", ".join(missed) or f"the divergence of {window} is not backed by spot any more"


def _of_reset(told: Explanation) -> str:
    """What is missing for a reset: the retrace first, then the ways to complete it."""
    retrace = told.exhaustion[0]
    if not retrace.holds and not told.explosion[0].holds:
        return str(retrace)
    ways = ([check for check in way if not check.holds] for way in (told.exhaustion, told.explosion))
    return " and ".join(", ".join(map(str, dict.fromkeys(map(str, way)))) for way in ways)


def lines(told: Explanation) -> Iterator[str]:
    """The whole explanation, a line for each value: number, threshold, time range, points."""
    decision = told.decision
    yield reason(told)
    if not decision.tradable and not decision.entry:
        yield f"not tradable: {veto_reason(told)}"
    yield f"context {decision.context:+.2f}, regime {decision.regime:+d}"
    for window, checks in told.votes.items():
        yield from _checked(f"  vote {window}", checks)
    yield "divergence"
    for window, checks in told.divergence.items():
        yield from _checked(f"  {window}", checks)
    if told.setup is not None:
        yield from _setup(told, told.setup)
    yield f"score {decision.score:.4f}"
    for part in told.parts:
        yield f"  {part.name} {part.points:.4f} of {max(part.term.most, 0.0):g}"
        yield from _checked("    if", part.gate)
        yield from _terms(part.term.terms, part.term.share, "    ")
    if told.entry:
        yield from _checked("entry", told.entry)


def _setup(told: Explanation, setup: SetupMemory) -> Iterator[str]:
    decision = told.decision
    yield (
        f"setup {_SIDES[setup.direction]} since {clock(setup.since)}: divergence {decision.divergence:.4f} of"
        f" {clock(setup.strongest)}, newest {clock(setup.newest)}, gap {decision.gap:.2f}"
    )
    yield f"reset type {decision.reset or '-'} here, {decision.reset_active or '-'} in memory"
    yield from _checked("  A", told.exhaustion)
    yield from _checked("  B", told.explosion)


def _checked(label: str, checks: Iterable[Check]) -> Iterator[str]:
    for check in checks:
        yield f"{label} {'+' if check.holds else '-'} {check}{_span(check)}"


def _terms(terms: Iterable[Term], weight: float, indent: str) -> Iterator[str]:
    for term in terms:
        share = weight * term.share
        if share == 0.0:
            continue
        yield f"{indent}{term.name} {share * term.quality + 0.0:.4f} of {share:g}"
        if term.terms:
            yield from _terms(term.terms, share, indent + "  ")
        else:
            for way in term.ways:
                yield from _checked(f"{indent} ", way)


def _span(check: Check) -> str:
    """The rows behind a value: first and last second."""
    last = clock(check.stop - 1)
    return f" [{last}]" if check.stop - check.start == 1 else f" [{clock(check.start)} to {last}]"
