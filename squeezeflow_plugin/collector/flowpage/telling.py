"""What a logged decision says, in words, for a reader that does not have the method at hand.

The log holds the numbers of a decision by name. The words here say no more than those; the whole reason,
with every threshold and time range, is what ``squeezeflow explain`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping

_SIDES = {1.0: "long", -1.0: "short"}
_PARTS = (
    ("score_reset", "reset"),
    ("score_absorption", "absorption"),
    ("score_breakdown", "breakdown"),
    ("score_bias", "bias"),
    ("score_oi", "open interest"),
)


def phase_of(values: Mapping[str, float]) -> str:
    """The furthest phase of a decision in a word; ``values`` holds its numbers by column.

    >>> phase_of({"ready": 1.0, "entry": 0.0, "reset_active": 1.0, "setup": -1.0, "regime": 0.0})
    'reset_short'
    >>> phase_of({"ready": 0.0})
    'warming_up'
    """
    if not values.get("ready"):
        return "warming_up"
    setup = values.get("setup", 0.0)
    reset = setup if values.get("reset_active") else 0.0
    for phase, direction in (("entry", values.get("entry", 0.0)), ("reset", reset), ("divergence", setup)):
        if direction:
            return f"{phase}_{_SIDES[direction]}"
    return {1.0: "short_squeeze", -1.0: "long_squeeze"}.get(values.get("regime", 0.0), "quiet")


def why_not(values: Mapping[str, float], veto: str, min_score: float) -> str:
    """Why this second enters nothing, or that it does: the first thing that is missing.

    ``veto`` is the reason that no entry would be allowed, empty where one would be; ``min_score`` the score
    from which an entry counts.

    >>> quiet = {"ready": 1.0, "setup": 0.0, "z_spot_15m": 0.4, "z_perp_15m": -0.2}
    >>> why_not(quiet, "", 4.0)
    'no setup: spot 15m +0.40, perp 15m -0.20'
    >>> why_not(quiet | {"setup": 1.0, "divergence": 1.2, "retrace": 0.04}, "hole_spot_5m", 4.0)
    'setup long, divergence 1.20, no reset: retrace 0.04; entries vetoed: hole_spot_5m'
    """
    return _missing(values, min_score) + (f"; entries vetoed: {veto}" if veto else "")


def _missing(values: Mapping[str, float], min_score: float) -> str:
    if not values.get("ready"):
        return "warming up"
    score = values.get("score", 0.0)
    entry, setup = values.get("entry", 0.0), values.get("setup", 0.0)
    if entry:
        return f"entry {_SIDES[entry]}: score {score:.2f}"
    if not setup:
        spot, perp = values.get("z_spot_15m", 0.0), values.get("z_perp_15m", 0.0)
        return f"no setup: spot 15m {spot:+.2f}, perp 15m {perp:+.2f}"
    told = f"setup {_SIDES[setup]}, divergence {values.get('divergence', 0.0):.2f}"
    if not values.get("reset_active"):
        return f"{told}, no reset: retrace {values.get('retrace', 0.0):.2f}"
    if score < min_score:
        return f"{told}, reset, score {score:.2f} < {min_score:.2f}"
    return f"{told}, reset, score {score:.2f}: no new event"


def parts_of(values: Mapping[str, float]) -> dict[str, float]:
    """The points of the score by part, in the order of the method.

    >>> parts_of({"score_reset": 3.5, "score_bias": 0.5})["reset"]
    3.5
    """
    return {name: values.get(column, 0.0) for column, name in _PARTS}
