"""A proxy in front of an exchange's port that cuts its connections, or lets them stand and bring nothing."""

from __future__ import annotations

import contextlib
import socket
import threading

_CHUNK = 65_536
_LOOK_EVERY_S = 0.05


class FeedProxy:
    """Listens on a free loopback port and hands everything on to ``port``, until told otherwise."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._cut = self._silent = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(_LOOK_EVERY_S)
        self.port = int(self._server.getsockname()[1])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """End every connection; new ones end at once."""
        self._cut = True
        self._end_all()

    def silence(self) -> None:
        """Connections stand, new ones are taken, and nothing comes any more."""
        self._silent = True

    def restore(self) -> None:
        """As at first. What was silent ends: the bytes it lacks are gone."""
        self._cut = self._silent = False
        self._end_all()

    def close(self) -> None:
        """End everything."""
        self._ended.set()
        self._thread.join()
        self._server.close()
        self._end_all()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._server.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        if self._cut:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._upstream))
        except OSError:
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink, sink is client), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, to_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if not (to_client and self._silent):
                    sink.sendall(data)
        for each in (source, sink):
            self._end(each)

    def _end_all(self) -> None:
        with self._lock:
            standing = tuple(self._open)
        for each in standing:
            self._end(each)

    def _end(self, each: socket.socket) -> None:
        with self._lock:
            self._open.discard(each)
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
