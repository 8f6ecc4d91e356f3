"""Binance's wire: the texts of events and REST rows. Pure.

Formats: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams. Spot pads
every amount to eight places, USD-M sends as many as the market has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from squeezeflow_plugin.market import MarketKind
from squeezeflow_plugin.simulator.candles import Candle
from squeezeflow_plugin.simulator.profiles import MarketTerms
from squeezeflow_plugin.simulator.trades import MarketTrades, decimal_text

SPOT_PLACES = 8


class Spelling:
    """How one market's prices and sizes are spelled."""

    def __init__(self, profile: MarketTerms) -> None:
        self.symbol = profile.instrument.symbol
        self.is_spot = profile.instrument.kind is MarketKind.SPOT
        self._price_scale, self._size_scale = profile.price_scale, profile.size_scale
        self._price_places = SPOT_PLACES if self.is_spot else profile.price_decimals
        self._size_places = SPOT_PLACES if self.is_spot else profile.size_decimals

    def price(self, ticks: int) -> str:
        return decimal_text(ticks, self._price_scale, self._price_places)

    def size(self, lots: int) -> str:
        return decimal_text(lots, self._size_scale, self._size_places)

    def quote(self, amount: float) -> str:
        return f"{amount:.{SPOT_PLACES}f}"

    def trade_frames(self, trades: MarketTrades, sent_ms: Sequence[int]) -> list[str]:
        """One ``@trade`` event for each row.

        >>> import numpy as np
        >>> from squeezeflow_plugin.simulator.profiles import asset_profile
        >>> one = MarketTrades(*(np.array([n]) for n in (5000, 17, 6500001, 100, -1)), 100, 100_000)
        >>> Spelling(asset_profile("BTC").spot).trade_frames(one, [5020])[0][:70]
        '{"e":"trade","E":5020,"s":"BTCUSDT","t":17,"p":"65000.01000000","q":"0'
        """
        rows = zip(
            trades.at_ms.tolist(),
            trades.ids.tolist(),
            trades.ticks.tolist(),
            trades.lots.tolist(),
            trades.side.tolist(),
            sent_ms,
            strict=True,
        )
        if self.is_spot:
            return [
                f'{{"e":"trade","E":{sent},"s":"{self.symbol}","t":{number},"p":"{self.price(ticks)}"'
                f',"q":"{self.size(lots)}","T":{at},"m":{"true" if side < 0 else "false"},"M":true}}'
                for at, number, ticks, lots, side, sent in rows
            ]
        return [
            f'{{"e":"trade","E":{sent},"T":{at},"s":"{self.symbol}","t":{number}'
            f',"p":"{self.price(ticks)}","q":"{self.size(lots)}","X":"MARKET"'
            f',"m":{"true" if side < 0 else "false"}}}'
            for at, number, ticks, lots, side, sent in rows
        ]

    def aggregate(self, trades: MarketTrades, number: int) -> dict[str, Any]:
        """The rows of one aggregate trade (at least one, of one time, price and side) as REST shows them."""
        row = {
            "a": number,
            "p": self.price(int(trades.ticks[0])),
            "q": self.size(int(trades.lots.sum())),
            "f": int(trades.ids[0]),
            "l": int(trades.ids[-1]),
            "T": int(trades.at_ms[0]),
            "m": bool(trades.side[0] < 0),
        }
        return {**row, "M": True} if self.is_spot else row

    def aggregate_event(self, trades: MarketTrades, number: int, sent_ms: int) -> dict[str, Any]:
        row = self.aggregate(trades, number)
        return {"e": "aggTrade", "E": sent_ms, "s": self.symbol, **row}

    def liquidation_events(self, orders: MarketTrades, sent_ms: int) -> list[dict[str, Any]]:
        """``@forceOrder`` events; SELL is a long that is closed."""
        events = []
        for row in range(len(orders)):
            price = self.price(int(orders.ticks[row]))
            size = self.size(int(orders.lots[row]))
            order = {
                "s": self.symbol,
                "S": "BUY" if orders.side[row] > 0 else "SELL",
                "o": "LIMIT",
                "f": "IOC",
                "q": size,
                "p": price,
                "ap": price,
                "X": "FILLED",
                "l": size,
                "z": size,
                "T": int(orders.at_ms[row]),
            }
            events.append({"e": "forceOrder", "E": sent_ms, "o": order})
        return events

    def trade_rows(self, trades: MarketTrades) -> list[dict[str, Any]]:
        """The rows of ``/trades``."""
        columns = (trades.ids, trades.ticks, trades.lots, trades.at_ms, trades.side)
        rows = [
            {
                "id": number,
                "price": self.price(ticks),
                "qty": self.size(lots),
                "quoteQty": self.quote((ticks / self._price_scale) * (lots / self._size_scale)),
                "time": at_ms,
                "isBuyerMaker": side < 0,
            }
            for number, ticks, lots, at_ms, side in zip(*(each.tolist() for each in columns), strict=True)
        ]
        return [{**row, "isBestMatch": True} for row in rows] if self.is_spot else rows

    def kline_row(self, candle: Candle, length_ms: int) -> list[Any]:
        """The twelve elements of a ``/klines`` row."""
        prices = (candle.open, candle.high, candle.low, candle.close)
        return [
            candle.start_ms,
            *(self.price(ticks) for ticks in prices),
            self.size(candle.lots),
            candle.start_ms + length_ms - 1,
            self.quote(candle.quote),
            candle.count,
            self.size(candle.taker_lots),
            self.quote(candle.taker_quote),
            "0",
        ]

    def kline_event(self, candle: Candle, interval: str, length_ms: int, now_ms: int) -> dict[str, Any]:
        row = self.kline_row(candle, length_ms)
        kline = {
            "t": row[0],
            "T": row[6],
            "s": self.symbol,
            "i": interval,
            "f": candle.first_id,
            "L": candle.last_id,
            "o": row[1],
            "c": row[4],
            "h": row[2],
            "l": row[3],
            "v": row[5],
            "n": row[8],
            "x": now_ms > row[6],
            "q": row[7],
            "V": row[9],
            "Q": row[10],
            "B": "0",
        }
        return {"e": "kline", "E": now_ms, "s": self.symbol, "k": kline}
