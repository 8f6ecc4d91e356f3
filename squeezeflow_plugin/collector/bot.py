"""What a bot on this machine decided last, and why it may not enter; nothing where there is none."""

from __future__ import annotations

from pathlib import Path

import msgspec

from squeezeflow_plugin.store.botstatus import STATUS_FILE, read_status
from squeezeflow_plugin.store.decisions import DecisionLog


class PairState(msgspec.Struct, frozen=True):
    """A pair's newest decision; ``score`` is None where the log has no such column.

    ``veto`` is why the pair may not be entered now, as the bot's status says, else as was decided.
    """

    pair: str
    second: int
    latency_ms: float
    score: float | None
    veto: str


class BotState(msgspec.Struct, frozen=True):
    """``second`` is the newest that any pair was decided for."""

    second: int
    pairs: tuple[PairState, ...]


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
        status = read_status(self._status)
        standing = {} if status is None else status.vetoes
        pairs = tuple(
            PairState(
                row.pair,
                row.second,
                row.latency_ms,
                row.value("score") if "score" in row.columns else None,
                standing.get(row.pair, row.veto),
            )
            for row in rows
        )
        return BotState(max(pair.second for pair in pairs), pairs)

    def close(self) -> None:
        self._log.close()
