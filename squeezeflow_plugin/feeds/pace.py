"""How long a source may be silent before that is strange: its own pace decides.

The longest of its recent pauses is remembered, and forgotten little by little; several times that is strange.
For steady trade at random the longest of some hundred pauses is five times the mean one, so a false alarm
needs a pause of twenty: once in hundreds of millions.

>>> pace = Pace(cap_s=60.0)
>>> for second in range(1000):
...     pace.sign(second * 1_000_000_000)
>>> pace.limit_s()
5.0
"""

from __future__ import annotations

from squeezeflow_plugin.market import NS_PER_SECOND

FLOOR_S = 5.0
_PAUSES = 4.0
_KEPT = 0.995
_ENOUGH = 50


class Pace:
    """Signs of life of one source and the silence they allow: between five seconds and ``cap_s``.

    ``cap_s`` (which may be less than five) until it has given enough of them.
    """

    __slots__ = ("_cap_s", "_count", "_last_ns", "_longest_ns")

    def __init__(self, cap_s: float) -> None:
        self._cap_s = cap_s
        self._count = 0
        self._last_ns = 0
        self._longest_ns = cap_s * NS_PER_SECOND / _PAUSES

    def sign(self, at_ns: int) -> None:
        """It gave a sign of life."""
        if self._last_ns:
            pause_ns = at_ns - self._last_ns
            if pause_ns <= 0:
                return
            self._longest_ns = max(self._longest_ns * _KEPT, pause_ns)
            self._count += 1
        self._last_ns = at_ns

    def interrupted(self) -> None:
        """What comes next ends no pause of its own."""
        self._last_ns = 0

    @property
    def usual_s(self) -> float:
        """The silence that is not strange, without bounds; 0 where too little is known."""
        return _PAUSES * self._longest_ns / NS_PER_SECOND if self._count >= _ENOUGH else 0.0

    def limit_s(self) -> float:
        """The silence that is not strange, within the bounds."""
        return min(max(self.usual_s or self._cap_s, FLOOR_S), self._cap_s)
