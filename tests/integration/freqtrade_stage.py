"""A store that fills as the clock is moved, and the few answers FreqTrade asks of an exchange."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.store.contract import BarStore


class StoreClock(SteppedClock):
    """Whoever sleeps finds the records in the store that were closed meanwhile."""

    def __init__(self, now_ns: int, store: BarStore, records: Sequence[ClosingRecord]) -> None:
        super().__init__(now_ns)
        self._store = store
        self._records = list(records)
        self.missing: set[int] = set()
        """Seconds whose records are held back."""

    def sleep_until(self, when_ns: int) -> None:
        super().sleep_until(when_ns)
        self.deliver()

    def deliver(self) -> None:
        due = [record for record in self._records if record.closed_ns <= self.now_ns()]
        held = [record for record in due if record.second in self.missing]
        due = due[: due.index(held[0])] if held else due
        self._records = self._records[len(due) :]
        self._store.append(due)

    @property
    def last_ended(self) -> int:
        """The last second that has ended by this clock."""
        return self.now_ns() // NS_PER_SECOND - 1


def _symbol(name: str, base: str) -> dict[str, object]:
    return {
        "symbol": name,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001"},
            {"filterType": "NOTIONAL", "minNotional": "5.0", "applyMinToMarket": True},
        ],
    }


@contextmanager
def exchange(price: Callable[[], float]) -> Iterator[tuple[str, list[str]]]:
    """Binance's spot endpoints on a free port: (base url, the paths that were asked for)."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            name = url.path.rpartition("/")[2]
            asked.append(name)
            body: object = {}
            if name == "exchangeInfo":
                body = {"timezone": "UTC", "serverTime": 0, "symbols": [_symbol("BTCUSDT", "BTC")]}
            elif name == "time":
                body = {"serverTime": time.time_ns() // 1_000_000}  # FreqTrade compares it with its own clock
            elif name == "depth" and parse_qs(url.query)["symbol"] == ["BTCUSDT"]:
                at = price()
                body = {
                    "lastUpdateId": 1,
                    "bids": [[f"{at - n / 100:.2f}", "50.0"] for n in range(1, 21)],
                    "asks": [[f"{at + n / 100:.2f}", "50.0"] for n in range(1, 21)],
                }
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v3", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
