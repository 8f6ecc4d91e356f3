"""Analysis out of an order's way: only the pairs that an order is for are analysed before it.

FreqTrade analyses every pair before it orders anything, a few milliseconds each. Nothing is read of a pair's
frame on a second without a signal of its own, so such a pair can wait until the order is out: it is analysed
before the next second is due, while the bot would only wait. Its frame then says what it would have said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from freqtrade.constants import Config
from freqtrade.strategy import IStrategy


class PromptStrategy(IStrategy):  # type: ignore[misc]  # FreqTrade ships no types
    """``analyze`` for the pairs that cannot wait; a subclass says which, and when there is time again."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._waiting: list[str] = []
        self._quiet: frozenset[str] = frozenset()

    def ordering(self) -> Collection[str]:
        """The pairs that an order follows for; without any, every pair is analysed at once."""
        return ()

    def analyze(self, pairs: list[str]) -> None:
        """Analyse all pairs, or those that an order follows for and those whose last frame cannot stand in.

        The latter are pairs never analysed, pairs that had a signal, and pairs that waited in vain before.
        """
        ordering = self.ordering()
        quiet = self._quiet.difference(self._waiting, ordering) if ordering else frozenset[str]()
        self._waiting = [pair for pair in pairs if pair in quiet]
        super().analyze([pair for pair in pairs if pair not in quiet])
        self._quiet = frozenset(pairs).difference(ordering)

    def analyze_waiting(self, is_idle: Callable[[], bool]) -> None:
        """Analyse the pairs that waited, one after the other as long as there is time."""
        while self._waiting and is_idle():
            super().analyze([self._waiting.pop(0)])
