"""The REST side: what ccxt and FreqTrade ask of Binance's public endpoints, answered from the tapes.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints and
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from aiohttp import web

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.market import MarketKind
from squeezeflow_plugin.simulator import exchange_info
from squeezeflow_plugin.simulator.candles import INTERVAL_MS, Candle
from squeezeflow_plugin.simulator.marks import Marks
from squeezeflow_plugin.simulator.profiles import MarketProfile
from squeezeflow_plugin.simulator.tape import Tape
from squeezeflow_plugin.simulator.trades import MarketTrades, decimal_text
from squeezeflow_plugin.simulator.venue import Venue
from squeezeflow_plugin.simulator.wire import Spelling

FUNDING_INTERVAL_MS = 8 * 3_600_000
_INTEREST_RATE = "0.00010000"
_DAY_MS = 86_400_000
_NS_PER_MS = 1_000_000
_LIMITS = {"klines": (500, 1000), "depth": (100, 1000), "trades": (500, 1000)}


class ApiError(Exception):
    """What Binance answers to a request it refuses: a code of its own and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(parameter: str, value: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{parameter}'; value was '{value}'.")


class RestSide:
    """The endpoints of one side, spot or USD-M."""

    def __init__(self, venue: Venue, kind: MarketKind, clock: Clock) -> None:
        self._clock = clock
        self._is_spot = kind is MarketKind.SPOT
        # the other exchanges' markets are no MarketProfile
        own = {m: t.profile for m, t in venue.tapes.items() if isinstance(t.profile, MarketProfile)}
        tapes = [venue.tapes[market] for market, profile in own.items() if profile.instrument.kind is kind]
        self._typical = {
            each.instrument.symbol: each.sizes.median for each in own.values() if each.instrument.kind is kind
        }
        self._tapes = {tape.profile.instrument.symbol: tape for tape in tapes}
        self._spelling = {symbol: Spelling(tape.profile) for symbol, tape in self._tapes.items()}
        spots = {
            profile.instrument.base: venue.tapes[market]
            for market, profile in own.items()
            if profile.instrument.kind is MarketKind.SPOT
        }
        self._marks = {
            symbol: Marks(tape, spots.get(tape.profile.instrument.base))
            for symbol, tape in self._tapes.items()
        }

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Every endpoint of this side below ``prefix``."""
        endpoints: dict[str, Callable[[web.Request], Any]] = {
            "ping": lambda _request: {},
            "time": lambda _request: {"serverTime": self.now_ms()},
            "exchangeInfo": self.exchange_info,
            "klines": self.klines,
            "depth": self.depth,
            "trades": self.recent_trades,
            "historicalTrades": self.old_trades,
            "aggTrades": self.aggregate_trades,
            "ticker/24hr": self.day_ticker,
            "ticker/price": self.price_ticker,
            "ticker/bookTicker": self.book_ticker,
        }
        if not self._is_spot:
            endpoints |= {
                "markPriceKlines": self.mark_klines,
                "fundingRate": self.funding_rates,
                "premiumIndex": self.premium_index,
                "openInterest": self.open_interest,
            }
        return [web.get(f"{prefix}/{name}", _handler(answer)) for name, answer in endpoints.items()]

    def now_ms(self) -> int:
        return self._clock.now_ns() // _NS_PER_MS

    def exchange_info(self, request: web.Request) -> dict[str, Any]:
        wanted = request.query.get("symbol")
        tapes = [self._tape(request)] if wanted else self._tapes.values()
        profiles = [tape.profile for tape in tapes]
        if self._is_spot:
            return exchange_info.spot(profiles, self.now_ms())
        return exchange_info.usdm(profiles, self.now_ms())

    def klines(self, request: web.Request) -> list[list[Any]]:
        tape = self._tape(request)
        interval = request.query.get("interval", "")
        if interval not in INTERVAL_MS:
            raise ApiError(-1120, "Invalid interval.")
        candles = tape.candles(interval, self.now_ms())
        chosen = self._window(request, candles, "klines")
        spelling = self._spelling[tape.profile.instrument.symbol]
        return [spelling.kline_row(candle, INTERVAL_MS[interval]) for candle in chosen]

    def mark_klines(self, request: web.Request) -> list[list[Any]]:
        """As klines, of the mark price."""
        symbol = self._tape(request).profile.instrument.symbol
        interval = request.query.get("interval", "")
        if interval not in INTERVAL_MS:
            raise ApiError(-1120, "Invalid interval.")
        candles = self._marks[symbol].candles(interval, self.now_ms())
        spelling = self._spelling[symbol]
        chosen = self._window(request, candles, "klines")
        return [spelling.kline_row(candle, INTERVAL_MS[interval]) for candle in chosen]

    def _window(self, request: web.Request, candles: list[Candle], name: str) -> list[Candle]:
        """Those from startTime to endTime: the first ``limit`` where a start is given, else the last."""
        start, stop = _integer(request, "startTime"), _integer(request, "endTime")
        limit = _limit(request, name)
        inside = [
            candle
            for candle in candles
            if (start is None or candle.start_ms >= start) and (stop is None or candle.start_ms <= stop)
        ]
        return inside[-limit:] if start is None else inside[:limit]

    def depth(self, request: web.Request) -> dict[str, Any]:
        tape = self._tape(request)
        now_ms = self.now_ms()
        bids, asks, last_id = self._book(tape, now_ms, _limit(request, "depth"))
        body: dict[str, Any] = {"lastUpdateId": last_id, "bids": bids, "asks": asks}
        return body if self._is_spot else {**body, "E": now_ms, "T": now_ms}

    def recent_trades(self, request: web.Request) -> list[dict[str, Any]]:
        tape = self._tape(request)
        trades = tape.trades(self.now_ms()).select(slice(-_limit(request, "trades"), None))
        return self._trade_rows(tape, trades)

    def old_trades(self, request: web.Request) -> list[dict[str, Any]]:
        """From ``fromId`` on, as far back as trades are kept; the newest where it is not given."""
        first = _integer(request, "fromId")
        if first is None:
            return self.recent_trades(request)
        tape = self._tape(request)
        trades = tape.trades(self.now_ms())
        start = int(np.searchsorted(trades.ids, first))
        return self._trade_rows(tape, trades.select(slice(start, start + _limit(request, "trades"))))

    def aggregate_trades(self, request: web.Request) -> list[dict[str, Any]]:
        tape = self._tape(request)
        trades, numbers = tape.aggregates(self.now_ms())
        firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
        start, stop = _integer(request, "startTime"), _integer(request, "endTime")
        from_number = _integer(request, "fromId")
        inside = np.ones(len(firsts), np.bool_)
        if start is not None:
            inside &= trades.at_ms[firsts] >= start
        if stop is not None:
            inside &= trades.at_ms[firsts] <= stop
        if from_number is not None:
            inside &= numbers[firsts] >= from_number
        limit = _limit(request, "trades")
        chosen = firsts[inside]
        chosen = chosen[-limit:] if start is None and from_number is None else chosen[:limit]
        spelling = self._spelling[tape.profile.instrument.symbol]
        ends = np.searchsorted(numbers, numbers[chosen], side="right")
        return [
            spelling.aggregate(trades.select(slice(first, end)), int(numbers[first]))
            for first, end in zip(chosen.tolist(), ends.tolist(), strict=True)
        ]

    def day_ticker(self, request: web.Request) -> Any:
        return self._each(request, self._day_ticker)

    def price_ticker(self, request: web.Request) -> Any:
        return self._each(request, lambda tape: self._symbol(tape) | {"price": self._last_price(tape)})

    def book_ticker(self, request: web.Request) -> Any:
        return self._each(request, self._book_ticker)

    def funding_rates(self, request: web.Request) -> list[dict[str, Any]]:
        """A rate every eight hours; the past is told at the rate and the mark of now."""
        tape = self._tape(request)
        now_ms = self.now_ms()
        start = _integer(request, "startTime")
        first = now_ms - _DAY_MS * 7 if start is None else start
        times = range(-(-first // FUNDING_INTERVAL_MS) * FUNDING_INTERVAL_MS, now_ms + 1, FUNDING_INTERVAL_MS)
        marks = self._marks[tape.profile.instrument.symbol]
        mark = self._quoted(tape, marks.mark(now_ms))
        rate = {"fundingRate": f"{marks.funding_rate(now_ms):.8f}", "markPrice": mark}
        return [self._symbol(tape) | {"fundingTime": at} | rate for at in times][: _limit(request, "trades")]

    def premium_index(self, request: web.Request) -> Any:
        return self._each(request, self._premium_index)

    def open_interest(self, request: web.Request) -> dict[str, Any]:
        """A slow wave about a hundred thousand times the lot: nothing trades on it."""
        tape = self._tape(request)
        phase = zlib.crc32(tape.profile.instrument.symbol.encode()) % 1000
        wave = 1.0 + 0.05 * math.sin(self.now_ms() / 7_200_000 + phase)
        units = round(1e8 * wave)
        amount = decimal_text(units, tape.profile.size_scale, tape.profile.size_decimals)
        return {"openInterest": amount, **self._symbol(tape), "time": self.now_ms()}

    def _tape(self, request: web.Request) -> Tape:
        symbol = request.query.get("symbol")
        if not symbol:
            raise ApiError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if symbol not in self._tapes:
            raise ApiError(-1121, "Invalid symbol.")
        return self._tapes[symbol]

    def _each(self, request: web.Request, answer: Callable[[Tape], dict[str, Any]]) -> Any:
        """One symbol's answer where one is named, else the list of all."""
        if request.query.get("symbol"):
            return answer(self._tape(request))
        return [answer(tape) for tape in self._tapes.values()]

    def _symbol(self, tape: Tape) -> dict[str, Any]:
        return {"symbol": tape.profile.instrument.symbol}

    def _trade_rows(self, tape: Tape, trades: MarketTrades) -> list[dict[str, Any]]:
        spelling = self._spelling[tape.profile.instrument.symbol]
        return spelling.trade_rows(trades)

    def _last_price(self, tape: Tape) -> str:
        last = tape.last_trade(self.now_ms())
        if not len(last):
            return "0"
        spelling = self._spelling[tape.profile.instrument.symbol]
        return spelling.price(int(last.ticks[0]))

    def _quoted(self, tape: Tape, price: float | None) -> str:
        """A price in the market's own spelling; 0 where it is not known."""
        if price is None:
            return "0"
        spelling = self._spelling[tape.profile.instrument.symbol]
        return spelling.price(round(price * tape.profile.price_scale))

    def _book(self, tape: Tape, now_ms: int, levels: int) -> tuple[list[list[str]], list[list[str]], int]:
        """Bids and asks around the last trade: it took the best ask, or the best bid. Sizes follow from its
        id.
        """
        last = tape.last_trade(now_ms)
        if not len(last):
            return [], [], 0
        last_id, bought = int(last.ids[0]), bool(last.side[0] > 0)
        ask = int(last.ticks[0]) + (0 if bought else 1)
        rng = np.random.default_rng(last_id)
        spelling = self._spelling[tape.profile.instrument.symbol]
        scale = tape.profile.size_scale
        quote = self._typical[tape.profile.instrument.symbol] * (
            1.0 + rng.standard_exponential((2, levels)) * 3.0
        )
        lots = np.maximum(np.rint(quote / (ask / last.price_scale) * scale), 1.0).astype(np.int64)
        bids = [
            [spelling.price(ask - n - 1), spelling.size(int(lots[0, n]))]
            for n in range(levels)
            if ask > n + 1
        ]
        asks = [[spelling.price(ask + n), spelling.size(int(lots[1, n]))] for n in range(levels)]
        return bids, asks, last_id

    def _book_ticker(self, tape: Tape) -> dict[str, Any]:
        now_ms = self.now_ms()
        bids, asks, _ = self._book(tape, now_ms, 1)
        (bid, bid_size), (ask, ask_size) = bids[0], asks[0]
        body = self._symbol(tape) | {"bidPrice": bid, "bidQty": bid_size, "askPrice": ask, "askQty": ask_size}
        return body if self._is_spot else body | {"time": now_ms}

    def _day_ticker(self, tape: Tape) -> dict[str, Any]:
        now_ms = self.now_ms()
        spelling = self._spelling[tape.profile.instrument.symbol]
        candles = [c for c in tape.candles("1m", now_ms) if c.start_ms > now_ms - _DAY_MS]
        first, last = candles[0], candles[-1]
        lots, quote = sum(c.lots for c in candles), sum(c.quote for c in candles)
        change = last.close - first.open
        average = round(quote / max(lots, 1) * tape.profile.size_scale * tape.profile.price_scale)
        body = self._symbol(tape) | {
            "priceChange": ("-" if change < 0 else "") + spelling.price(abs(change)),
            "priceChangePercent": f"{100.0 * change / first.open:.3f}",
            "weightedAvgPrice": spelling.price(average),
            "lastPrice": spelling.price(last.close),
            "openPrice": spelling.price(first.open),
            "highPrice": spelling.price(max(c.high for c in candles)),
            "lowPrice": spelling.price(min(c.low for c in candles)),
            "volume": spelling.size(lots),
            "quoteVolume": spelling.quote(quote),
            "openTime": first.start_ms,
            "closeTime": now_ms,
            "firstId": first.first_id,
            "lastId": last.last_id,
            "count": sum(c.count for c in candles),
        }
        return body | self._book_ticker(tape) if self._is_spot else body

    def _premium_index(self, tape: Tape) -> dict[str, Any]:
        now_ms, marks = self.now_ms(), self._marks[tape.profile.instrument.symbol]
        index = self._quoted(tape, marks.index(now_ms))
        return self._symbol(tape) | {
            "markPrice": self._quoted(tape, marks.mark(now_ms)),
            "indexPrice": index,
            "estimatedSettlePrice": index,
            "lastFundingRate": f"{marks.funding_rate(now_ms):.8f}",
            "interestRate": _INTEREST_RATE,
            "nextFundingTime": (now_ms // FUNDING_INTERVAL_MS + 1) * FUNDING_INTERVAL_MS,
            "time": now_ms,
        }


def _handler(answer: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(answer(request))
        except ApiError as error:
            return web.json_response({"code": error.code, "msg": str(error)}, status=400)

    return handle


def _integer(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise invalid(name, text)
    return int(text)


def _limit(request: web.Request, name: str) -> int:
    """The asked number of rows, at most what Binance gives."""
    usual, most = _LIMITS[name]
    asked = _integer(request, "limit")
    if asked == 0:
        raise invalid("limit", "0")
    return usual if asked is None else min(asked, most)
