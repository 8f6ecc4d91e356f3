"""A user's folder, a store with simulated data, and an exchange that only says which markets there are."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.simulator import exchange_info
from squeezeflow_plugin.simulator.exchange import bot_exchange
from squeezeflow_plugin.simulator.profiles import asset_profiles
from squeezeflow_plugin.simulator.run import SimulatorOptions, write_hours

USER_DATA = Path(__file__).resolve().parents[2] / "user_data"

Query = Mapping[str, str]
Answer = Callable[[Query], object]


@contextmanager
def markets_only(assets: tuple[str, ...], answers: Mapping[str, Answer] | None = None) -> Iterator[int]:
    """Binance's ``exchangeInfo`` of the simulated assets on a free port; everything else is empty.

    ``answers`` are further endpoints, by path, and what they say to a query.
    """
    profiles = asset_profiles(assets)
    bodies = {
        "/api/v3/exchangeInfo": exchange_info.spot((item.spot for item in profiles), 0),
        "/fapi/v1/exchangeInfo": exchange_info.usdm((item.perp for item in profiles), 0),
    }
    further = answers or {}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            body: object = bodies.get(url.path, {})
            if url.path in further:
                body = further[url.path]({name: found[0] for name, found in parse_qs(url.query).items()})
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
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Stage:
    """A user's folder beside a store; ``config`` is the file to name to FreqTrade."""

    userdir: Path
    store: Path
    assets: tuple[str, ...]
    port: int

    def config(self, mode: str = "spot", extra: Mapping[str, Any] | None = None) -> Path:
        """A configuration for spot or futures as a user would write it, with ``extra`` at its top level."""
        futures = mode == "futures"
        suffix = ":USDT" if futures else ""
        exchange = bot_exchange(self.port)
        exchange["ccxt_config"]["options"]["fetchMarkets"]["types"] = ["linear" if futures else "spot"]
        overlay = {
            "trading_mode": mode,
            "margin_mode": "isolated" if futures else "",
            "exchange": {**exchange, "pair_whitelist": [f"{name}/USDT{suffix}" for name in self.assets]},
            "squeezeflow": {"data_dir": str(self.store.parent)},
            **(extra or {}),
        }
        base = json.loads((USER_DATA / "config.json").read_text())
        base["exchange"] |= overlay.pop("exchange")
        path = self.userdir / f"config-{mode}.json"
        path.write_text(json.dumps(base | overlay))
        return path


@contextmanager
def stage(folder: Path, assets: tuple[str, ...], hours: float, stop: int, seed: int = 3) -> Iterator[Stage]:
    """A stage whose store holds ``hours`` of a simulated market up to the second ``stop``."""
    userdir = folder / "user_data"
    for part in ("strategies", "hyperopts"):
        shutil.copytree(USER_DATA / part, userdir / part, ignore=shutil.ignore_patterns("__*", "*.json"))
    store = folder / "squeezeflow" / "store.sqlite"
    options = SimulatorOptions(seed=seed, assets=assets, store=store, hours=hours)
    write_hours(options, SteppedClock(stop * NS_PER_SECOND))
    with markets_only(assets) as port:
        yield Stage(userdir, store, assets, port)
