"""Index price, mark price and funding of a simulated perpetual, from its own and its asset's spot trades.

The index is the spot market's last price. The mark is the index with the mean basis of the last five minutes
on top, so a squeeze moves it late. The funding rate is Binance's formula: the mean premium P over the hour,
and the interest of 0.01 % less P within +-0.05 %.
https://www.binance.com/en/support/faq/introduction-to-binance-futures-funding-rates-360033525031
"""

from __future__ import annotations

from collections.abc import Mapping

from squeezeflow_plugin.simulator.candles import Candle
from squeezeflow_plugin.simulator.tape import Tape

_BASIS_MINUTES = 5
_PREMIUM_MINUTES = 60
_INTEREST = 1e-4
_CLAMP = 5e-4


class Marks:
    """One perpetual beside the spot market of its asset; without one its own prices are the index."""

    def __init__(self, perp: Tape, spot: Tape | None) -> None:
        self._perp = perp
        self._spot = perp if spot is None else spot

    def index(self, now_ms: int) -> float | None:
        """The index price; None before the first trade."""
        last = self._spot.last_trade(now_ms)
        return float(last.ticks[0]) / last.price_scale if len(last) else None

    def mark(self, now_ms: int) -> float | None:
        """The mark price; None before the first trade."""
        index = self.index(now_ms)
        return None if index is None else index * (1.0 + self._basis(now_ms, _BASIS_MINUTES))

    def funding_rate(self, now_ms: int) -> float:
        """The rate of the funding interval that is under way.

        >>> _rate(0.0), _rate(0.002)
        (0.0001, 0.0015)
        """
        return _rate(self._basis(now_ms, _PREMIUM_MINUTES))

    def candles(self, interval: str, now_ms: int) -> list[Candle]:
        """Candles of the mark price in the perpetual's ticks: the spot candle with the mean basis on top.

        Nothing is traded at a mark price, so volumes and counts are 0.
        """
        scale = self._scale() * (1.0 + self._basis(now_ms, _BASIS_MINUTES))
        made = []
        for each in self._spot.candles(interval, now_ms):
            first, high, low, last = (
                round(ticks * scale) for ticks in (each.open, each.high, each.low, each.close)
            )
            made.append(Candle(each.start_ms, first, high, low, last, 0, 0.0, 0, 0, 0.0, -1, -1))
        return made

    def _scale(self) -> float:
        """Ticks of the perpetual for one tick of the spot market."""
        last, spot = self._perp.last_trade(2**62), self._spot.last_trade(2**62)
        return last.price_scale / spot.price_scale

    def _basis(self, now_ms: int, minutes: int) -> float:
        """The mean of perpetual over spot, less 1, over the closes of the last minutes; 0 without any."""
        perps = _closes(self._perp, now_ms, minutes)
        spots = _closes(self._spot, now_ms, minutes)
        scale = self._scale() if perps and spots else 1.0
        found = [perps[at] / (spots[at] * scale) - 1.0 for at in perps.keys() & spots.keys()]
        return sum(sorted(found)) / len(found) if found else 0.0


def _closes(tape: Tape, now_ms: int, minutes: int) -> Mapping[int, int]:
    return {each.start_ms: each.close for each in tape.candles("1m", now_ms)[-minutes:]}


def _rate(premium: float) -> float:
    return round(premium + min(max(_INTEREST - premium, -_CLAMP), _CLAMP), 8)
