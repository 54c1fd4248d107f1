# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relays between a client and a real server; each exists to inject one fault."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t

_BLOCK = 8 * 1024  # small enough that a fault can lie in the middle of a snapshot


class Relay:
    """Forwards connections to a port of 127.0.0.1, from *source* address; *change* may alter what the server sends.

    ``change(offset, block)`` gets the offset of the block in the connection's stream from the server.
    """

    def __init__(
        self,
        port: int,
        *,
        source: str = "127.0.0.1",
        change: t.Callable[[int, bytes], bytes] = lambda _offset, block: block,
    ) -> None:
        self._upstream = port
        self._source = source
        self._change = change
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> t.Self:
        self._run(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _run(self, target: t.Callable[..., None], *arguments: t.Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._upstream), source_address=(self._source, 0))
            self._run(self._copy, client, server, lambda _offset, block: block)
            self._run(self._copy, server, client, self._change)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket, change: t.Callable[[int, bytes], bytes]) -> None:
        offset = 0
        with contextlib.suppress(OSError):
            while True:
                block = source.recv(_BLOCK)
                if not block:
                    break
                target.sendall(change(offset, block))
                offset += len(block)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            if one is source:
                one.close()
