# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault, injected: a proxy in front of a real S3 server that answers 503 SlowDown when too much is asked at a time.

Everything else passes unchanged, so signatures hold.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_REFUSAL = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)
_DROPPED = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})


class BusyProxy:
    """Refuses the requests that contain *path_contains* while *most_at_once* of them are on their way already.

    Each of those takes *seconds* at least, so that a fast server can be kept busy. Use it as a context manager.
    """

    def __init__(
        self, upstream_port: int, *, most_at_once: int, path_contains: str = "?delete", seconds: float
    ) -> None:
        self.upstream_port = upstream_port
        self.most_at_once = most_at_once
        self.path_contains = path_contains
        self.seconds = seconds
        self.passed = 0
        self.refused = 0
        self.most_seen = 0
        self._inside = 0
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def place(self, path: str) -> t.Iterator[bool]:
        """Whether the request may pass; what may is inside until the end of the block."""
        if self.path_contains not in path:
            yield True
            return
        with self._lock:
            self.most_seen = max(self.most_seen, self._inside + 1)
            free = self._inside < self.most_at_once
            self._inside += free
            self.passed += free
            self.refused += not free
        try:
            if free:
                time.sleep(self.seconds)
            yield free
        finally:
            with self._lock:
                self._inside -= free

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: BusyProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    server: _Server

    def do_ANY(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.proxy.place(self.path) as free:
            if free:
                self._pass_on(body)
            else:
                self._answer(503, [("Content-Type", "application/xml")], _REFUSAL)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_ANY  # noqa: N815 - names that the base class looks for

    def log_message(self, format: str, *arguments: t.Any) -> None:  # noqa: A002 - the name of the base class
        """Silent."""

    def _pass_on(self, body: bytes) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream_port, timeout=120)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _DROPPED:
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            self._answer(answer.status, answer.getheaders(), answer.read())

    def _answer(self, status: int, headers: t.Iterable[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _DROPPED and name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
