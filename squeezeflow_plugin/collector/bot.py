"""What a bot on this machine decided last, and why it may not enter; nothing where there is none."""

from __future__ import annotations

from pathlib import Path

import msgspec

from squeezeflow_plugin.jsonfile import read_json
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision

_PHASES = ("regime", "setup", "reset_active", "entry")


class PairState(msgspec.Struct, frozen=True):
    """A pair's newest decision; ``score`` and ``phase`` are None where the log has no such columns.

    ``veto`` is why the pair may not be entered now, as the bot's status says, else as was decided; ``phase``
    the furthest one: 0 none, 1 context, 2 divergence, 3 reset, 4 entry, negative for the short side;
    ``entries`` how many trades of the pair were entered since the log began.
    """

    pair: str
    second: int
    latency_ms: float
    score: float | None
    veto: str
    phase: float | None = None
    entries: int = 0


class BotState(msgspec.Struct, frozen=True):
    """``second`` is the newest that any pair was decided for; ``status`` what the bot says of itself."""

    second: int
    pairs: tuple[PairState, ...]
    status: BotStatus | None = None


class BotWatch:
    """Reads the decision log at ``path``, which need not exist."""

    def __init__(self, path: Path) -> None:
        self._log = DecisionLog(path, readonly=True)
        self._status = path.with_name(STATUS_FILE)

    def look(self) -> BotState | None:
        """The newest decisions; None before the first. Raises StoreError."""
        rows = self._log.newest()
        if not rows:
            return None
        status = read_json(self._status, BotStatus)
        entered = self._log.entered()
        standing = {} if status is None else status.vetoes
        pairs = tuple(
            PairState(
                row.pair,
                row.second,
                row.latency_ms,
                row.value("score") if "score" in row.columns else None,
                standing.get(row.pair, row.veto),
                _phase(row),
                entered.get(row.pair, 0),
            )
            for row in rows
        )
        return BotState(max(pair.second for pair in pairs), pairs, status)

    def close(self) -> None:
        self._log.close()


def _phase(row: LoggedDecision) -> float | None:
    if not set(_PHASES) <= set(row.columns):
        return None
    regime, setup, reset, entry = (row.value(name) for name in _PHASES)
    furthest = ((4.0, entry), (3.0, setup if reset else 0.0), (2.0, setup), (1.0, regime))
    return next((number * direction for number, direction in furthest if direction), 0.0)
