"""Stake and leverage by the score's tier (methodology section 10)."""

from __future__ import annotations

from dataclasses import dataclass

_EPS = 1e-9


@dataclass(frozen=True)
class Tier:
    """From ``score`` on: the factor of the configured stake, and the leverage where there is any."""

    name: str
    score: float
    stake_factor: float
    leverage: float


TIERS = (
    Tier("premium", 8.0, 1.5, 5.0),
    Tier("high", 6.0, 1.0, 3.0),
    Tier("medium", 4.0, 0.5, 2.0),
)


def tier_of(score: float) -> Tier:
    """The tier of a score; scores that a lower ``min_score`` lets through are medium.

    >>> tier_of(8.0).name, tier_of(7.99).name, tier_of(3.0).name
    ('premium', 'high', 'medium')
    """
    return next((tier for tier in TIERS if score >= tier.score - _EPS), TIERS[-1])


def stake_for(score: float, stake: float, smallest: float | None, largest: float) -> float:
    """The stake for a score: the configured one times the tier's factor, within the exchange's bounds.

    >>> stake_for(9.0, 100.0, 10.0, 120.0)
    120.0
    >>> stake_for(4.5, 100.0, 60.0, 120.0)
    60.0
    """
    wanted = max(stake * tier_of(score).stake_factor, smallest or 0.0)
    return min(wanted, largest)


def leverage_for(score: float, *caps: float) -> float:
    """The tier's leverage under every cap, at least 1.

    >>> leverage_for(8.5, 20.0, 3.0)
    3.0
    """
    return max(1.0, min(tier_of(score).leverage, *caps))
