# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that exists to inject faults into any TCP connection: between a client and PostgreSQL, mongod or Redis."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
import typing as t

_BLOCK = 64 * 1024


class TCPFaultProxy:
    """Use as a context manager; connect the client to ``port`` of 127.0.0.1 instead of the server's.

    ``cut_after`` resets a connection when the server has sent so many bytes on it, ``delay`` holds back each block from
    the server for so many seconds, ``refuse`` closes new connections at once. ``cut`` resets all that are open now.
    ``listener`` is another socket to listen at, which is closed at the end.
    """

    def __init__(self, upstream_port: int, *, listener: socket.socket | None = None) -> None:
        self._upstream_port = upstream_port
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self.cut_after: int | None = None
        self.delay: float = 0
        self.refuse = False
        self.connections = 0

    @property
    def port(self) -> int:
        """The port of the proxy (on 127.0.0.1, unless it was given a listener)."""
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Reset every connection that is open now."""
        with self._lock:
            for one in self._open:
                _reset(one)

    def heal(self) -> None:
        """No further faults."""
        self.cut_after, self.delay, self.refuse = None, 0, False

    def __enter__(self) -> t.Self:
        self._run(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _run(self, target: t.Any, *arguments: t.Any) -> None:
        thread = threading.Thread(target=target, args=arguments, name="tcp-fault-proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuse:
                _reset(client)
                client.close()
                continue
            self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        address = ("127.0.0.1", self._upstream_port)
        with client, contextlib.suppress(OSError), socket.create_connection(address, timeout=5) as server:
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            try:
                self._relay(client, server)
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _events in ready.select():
                    source = t.cast("socket.socket", key.fileobj)
                    block = source.recv(_BLOCK)
                    if not block:
                        return
                    if source is server:
                        time.sleep(self.delay)
                        sent += len(block)
                        if self.cut_after is not None and sent > self.cut_after:
                            _reset(client)
                            return
                    key.data.sendall(block)


def _reset(connection: socket.socket) -> None:
    """The owner's ``close`` will send RST instead of an orderly end, and its waiting ``recv`` ends now."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
