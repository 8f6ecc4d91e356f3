"""What a score was made from: values against thresholds, weighed into points, each with its time range.

A ``Check`` compares one value; a ``Term`` weighs alternatives of checks, or other terms; a ``Part`` is one
of the score's parts. ``evaluate`` works the points out again from nothing but the values kept here, in the
order in which the engine adds them, so they come out to the bit.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from squeezeflow_plugin.features.layout import EPS


class Rule(enum.Enum):
    """How a value is held against its threshold; the first four give 1 or 0, the others a share."""

    AT_LEAST = ">="
    ABOVE = ">"
    AT_MOST = "<="
    BELOW = "<"
    SHARE = "of"
    """value / threshold, 0..1"""
    SLOWER = "down from"
    """1 - value / threshold, 0..1"""
    LEAN = "towards"
    """(threshold + value) / 2, from 0 at -1 to 1 at +1"""
    KNOWN = "known"
    """1 where the value is no NaN"""


@dataclass(frozen=True, slots=True)
class Check:
    """A value, what it is held against, and the rows ``[start, stop)`` (epoch seconds) that it comes from.

    ``slack`` is what the comparison tolerates: EPS, 0 between raw prices.

    >>> Check("retrace", 0.04, Rule.AT_LEAST, 0.15, 60, 61).holds
    False
    >>> Check("speed", 1.5, Rule.SLOWER, 6.0, 60, 61).quality
    0.75
    """

    name: str
    value: float
    rule: Rule
    threshold: float
    start: int
    stop: int
    slack: float = EPS

    @property
    def quality(self) -> float:
        """How far it is met, 0..1."""
        value, limit, slack = self.value, self.threshold, self.slack
        if self.rule is Rule.SHARE:
            return min(max(value / limit, 0.0), 1.0)
        if self.rule is Rule.SLOWER:
            return min(max(1.0 - value / limit, 0.0), 1.0) if limit > slack else 0.0
        if self.rule is Rule.LEAN:
            return (limit + value) / 2.0
        met = {
            Rule.AT_LEAST: value >= limit - slack,
            Rule.ABOVE: value > limit + slack,
            Rule.AT_MOST: value <= limit + slack,
            Rule.BELOW: value < limit - slack,
            Rule.KNOWN: not math.isnan(value),
        }
        return 1.0 if met[self.rule] else 0.0

    @property
    def holds(self) -> bool:
        return self.quality > 0.0

    def __str__(self) -> str:
        """``retrace 0.04 < 0.15`` where 0.15 was asked for and missed."""
        if self.rule is Rule.KNOWN or math.isnan(self.value):
            return f"{self.name} {number(self.value)}"
        sign = self.rule.value if self.holds else _MISSED.get(self.rule, self.rule.value)
        value, limit = number(self.value), number(self.threshold)
        if value == limit and abs(self.value - self.threshold) > self.slack:
            value, limit = f"{self.value:.9g}", f"{self.threshold:.9g}"
        return f"{self.name} {value} {sign} {limit}"


def mirrored(rule: Rule) -> Rule:
    """The comparison that says of ``-value`` and ``-threshold`` what ``rule`` says of value and threshold.

    >>> mirrored(Rule.ABOVE)
    <Rule.BELOW: '<'>
    """
    return _MIRRORED.get(rule, rule)


_MIRRORED = {
    Rule.AT_LEAST: Rule.AT_MOST,
    Rule.AT_MOST: Rule.AT_LEAST,
    Rule.ABOVE: Rule.BELOW,
    Rule.BELOW: Rule.ABOVE,
}
_MISSED = {Rule.AT_LEAST: "<", Rule.ABOVE: "<=", Rule.AT_MOST: ">", Rule.BELOW: ">="}


@dataclass(frozen=True, slots=True)
class Term:
    """A weighed condition: its best way (as good as the worst check of that way), or the sum of its terms."""

    name: str
    share: float
    ways: tuple[tuple[Check, ...], ...] = ()
    terms: tuple[Term, ...] = ()

    @property
    def quality(self) -> float:
        """How much of the share it earns; 0..1, a sum of terms may leave that range."""
        if self.terms:
            return sum((term.share * term.quality for term in self.terms), 0.0)
        return max(min(check.quality for check in way) for way in self.ways)

    @property
    def most(self) -> float:
        """What it is worth where everything holds, in units of what it is a share of."""
        return self.share * (sum(term.most for term in self.terms) if self.terms else 1.0)

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check below it."""
        own = [check for way in self.ways for check in way]
        return (*own, *(check for term in self.terms for check in term.checks))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the score: ``points`` as the engine gave them, and what they follow from.

    Without the ``gate`` it is worth 0 whatever else holds.
    """

    name: str
    points: float
    term: Term
    gate: tuple[Check, ...] = ()

    def evaluate(self) -> float:
        """The points, worked out again from the checks."""
        return self.term.share * self.term.quality if all(check.holds for check in self.gate) else 0.0

    @property
    def checks(self) -> tuple[Check, ...]:
        return (*self.gate, *self.term.checks)


def number(value: float) -> str:
    """A number short enough to read.

    >>> number(0.04), number(61234.5), number(2500000.0), number(-1.0), number(4.93e-5), number(-1e-12)
    ('0.04', '61,234.5', '2.50M', '-1.00', '4.9e-05', '0.00')
    >>> number(math.nan)
    'unknown'
    """
    if math.isnan(value):
        return "unknown"
    size = abs(value)
    for limit, unit in ((1e9, "G"), (1e6, "M")):
        if size >= limit:
            return f"{value / limit:.2f}{unit}"
    if size >= 1000:
        return f"{value:,.1f}"
    if round(size, 9) == 0:
        return "0.00"
    return f"{value:.2g}" if size < 0.01 else f"{value:.2f}"
