"""A proxy in front of an HTTP server that fails on order: the harness of the seeded fault schedules.

Each request takes the next fault of its kind (write or query); without one it passes. What a fault does to a
write is what networks and servers really do: refuse, answer 500, hang, take half of the batch and break off,
acknowledge and lose it, or take it and lose the acknowledgement.
"""

from __future__ import annotations

import contextlib
import enum
import http.client
import threading
from collections import Counter, deque
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode


class Fault(enum.Enum):
    NONE = "none"
    ERROR_500 = "500"
    HANG_UP = "hang up"  # close the connection without an answer
    HALF = "half a batch, then the connection breaks"
    LOSE = "204, and nothing is stored"
    LOSE_ANSWER = "stored, and no answer"
    SLOW = "an answer later than the client waits"


class FaultProxy:
    """Listens on a free loopback port; ``order`` says what happens to the next writes and queries.

    With ``version`` it says to be an InfluxDB of that version, and takes writes as 1.8 and later do.
    """

    def __init__(self, port: int, slow_s: float = 1.0, version: str | None = None) -> None:
        self.met: Counter[Fault] = Counter()
        self.paths: Counter[str] = Counter()
        self.version = version
        self.upstream = port
        self.slow_s = slow_s
        self._orders: dict[str, deque[Fault]] = {"write": deque(), "query": deque()}
        self._always: dict[str, Fault] = {}
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def order(self, writes: Iterable[Fault] = (), queries: Iterable[Fault] = ()) -> None:
        with self._lock:
            self._orders["write"].extend(writes)
            self._orders["query"].extend(queries)

    def always(self, fault: Fault | None) -> None:
        """Until told otherwise, every request meets this."""
        with self._lock:
            self._always = {} if fault is None else {"write": fault, "query": fault}

    def forget(self) -> None:
        """Whatever was ordered and not met yet will not be."""
        with self._lock:
            for orders in self._orders.values():
                orders.clear()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def next_fault(self, kind: str) -> Fault:
        """What the next request of the kind ("write" or "query") meets."""
        with self._lock:
            fault = self._always.get(kind)
            if fault is None:
                fault = self._orders[kind].popleft() if self._orders[kind] else Fault.NONE
            self.met[fault] += 1
            return fault

    def _handler(self) -> type[_Handler]:
        return type("Handler", (_Handler,), {"proxy": self})


class _Handler(BaseHTTPRequestHandler):
    """One connection's requests, kept alive as the client likes it."""

    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_args: Any) -> None:
        """Quiet."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_write = self.path.startswith(("/write", "/api/v2/write"))
        fault = self.proxy.next_fault("write" if is_write else "query")
        if fault is Fault.ERROR_500:
            self._answer(500, {}, b'{"error":"made to fail"}')
        elif fault is Fault.SLOW:
            self.proxy.released.wait(self.proxy.slow_s)
            self._break()
        elif fault is Fault.HANG_UP:
            self._break()
        elif is_write and fault is not Fault.NONE:
            self._spoil(fault, body)
        else:
            self._answer(*self._forward(body))

    def _spoil(self, fault: Fault, body: bytes) -> None:
        """A write that does not do what it says."""
        if fault is Fault.LOSE:
            self._answer(204, {}, b"")
            return
        lines = body.split(b"\n")
        self._forward(b"\n".join(lines[: (len(lines) + 1) // 2]) if fault is Fault.HALF else body)
        self._break()

    def _upstream_path(self) -> str:
        """The path as InfluxDB 1.6 knows it."""
        path, _, query = self.path.partition("?")
        self.proxy.paths[path] += 1
        if self.proxy.version is None or path != "/api/v2/write":
            return self.path
        values = dict(parse_qsl(query))
        database, _, policy = values["bucket"].partition("/")
        return "/write?" + urlencode({"db": database, "rp": policy, "precision": values["precision"]})

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "content-length"}}
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream, timeout=20)
        try:
            connection.request(self.command, self._upstream_path(), body or None, headers)
            answer = connection.getresponse()
            kept = {
                k.title(): v for k, v in answer.getheaders() if k.lower().startswith(("content-type", "x-"))
            }
            if self.proxy.version is not None:
                kept["X-Influxdb-Version"] = self.proxy.version
            return answer.status, kept, answer.read()
        except OSError:
            return 502, {}, b'{"error":"upstream is down"}'
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(ConnectionError):  # the client waits no longer
            self.end_headers()
            self.wfile.write(body)

    def _break(self) -> None:
        self.close_connection = True
        self.connection.close()
