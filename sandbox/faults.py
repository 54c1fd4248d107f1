# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that exists to inject faults: it stands between an S3 client and the real S3 server.

What it isn't told to spoil passes unchanged (the Host header too, so signatures hold). Faults are taken in the order in
which they were added; the first that fits a request is applied.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
import typing as t
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 64 * 1024
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection", "te", "upgrade"}
)
_MESSAGES = {
    "SlowDown": "Please reduce your request rate.",
    "AccessDenied": "Access Denied",
    "InternalError": "We encountered an internal error. Please try again.",
}


@dataclass(frozen=True)
class Request:
    """A request that passed: what was asked and what was done to it ('' when nothing)."""

    method: str
    path: str
    fault: str


@dataclass
class _Fault:
    name: str
    method: str | None
    path_contains: str
    skip: int
    times: int | None
    status: int = 0
    code: str = ""
    cut_upload_at: int | None = None
    cut_download_at: int | None = None
    seconds: float = 0

    def takes(self, method: str, path: str) -> bool:
        """Whether this request is spoilt; counts those that it skips and those that it spoils."""
        if self.times == 0 or self.method not in (None, method) or self.path_contains not in path:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultProxy:
    """Use as a context manager; ``endpoint_url`` is what the client is told. ``requests`` are those seen so far.

    Every method that adds a fault takes ``method`` (None: any), ``path_contains``, ``skip`` (so many fitting requests
    pass first) and ``times`` (None: for ever).
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._requests: list[Request] = []
        self._server = _HTTPServer(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="fault-proxy", daemon=True
        )

    @property
    def port(self) -> int:
        """The port of the proxy on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def endpoint_url(self) -> str:
        """The address to give to the client in place of the server's."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """Every request so far, oldest first."""
        with self._lock:
            return list(self._requests)

    def slow_down(self, **selection: t.Any) -> None:
        """Answer 503 SlowDown, as S3 does under load."""
        self._add("503 SlowDown", status=503, code="SlowDown", **selection)

    def forbid(self, **selection: t.Any) -> None:
        """Answer 403 AccessDenied."""
        self._add("403 AccessDenied", status=403, code="AccessDenied", **selection)

    def fail(self, **selection: t.Any) -> None:
        """Answer 500 InternalError."""
        self._add("500 InternalError", status=500, code="InternalError", **selection)

    def cut_upload(self, after_bytes: int, **selection: t.Any) -> None:
        """Reset the connection once so many bytes of a request's body have gone to the server."""
        self._add(f"cut upload after {after_bytes}", cut_upload_at=after_bytes, **selection)

    def cut_download(self, after_bytes: int, **selection: t.Any) -> None:
        """Reset the connection once so many bytes of an answer's body have gone to the client."""
        self._add(f"cut download after {after_bytes}", cut_download_at=after_bytes, **selection)

    def delay(self, seconds: float, **selection: t.Any) -> None:
        """Wait before the request is passed on."""
        self._add(f"delay {seconds:g} s", seconds=seconds, **selection)

    def heal(self) -> None:
        """Forget every fault: all is well from now on."""
        with self._lock:
            self._faults.clear()

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _add(
        self,
        name: str,
        *,
        method: str | None = None,
        path_contains: str = "",
        skip: int = 0,
        times: int | None = None,
        **effect: t.Any,
    ) -> None:
        fault = _Fault(name=name, method=method, path_contains=path_contains, skip=skip, times=times, **effect)
        with self._lock:
            self._faults.append(fault)

    def choose(self, method: str, path: str) -> _Fault | None:
        """For the proxy's own handlers: note the request; what to do to it."""
        with self._lock:
            chosen = next((fault for fault in self._faults if fault.takes(method, path)), None)
            self._requests.append(Request(method=method, path=path, fault=chosen.name if chosen else ""))
            return chosen

    def connect_upstream(self) -> http.client.HTTPConnection:
        """For the proxy's own handlers: a new connection to the real server."""
        return http.client.HTTPConnection("127.0.0.1", self._upstream_port, timeout=120)


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client that goes away in the middle is what these tests are about: nothing to report."""


class _Cut(Exception):
    """The connection is to be reset here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    server: _HTTPServer

    def do_ANY(self) -> None:
        fault = self.server.proxy.choose(self.command, self.path)
        if fault is not None and fault.seconds:
            time.sleep(fault.seconds)
        if fault is not None and fault.status:
            for _block in self._body(None):
                pass
            self._refuse(fault)
            return
        with contextlib.closing(self.server.proxy.connect_upstream()) as upstream:
            try:
                self._pass_request(upstream, fault)
                self._pass_answer(upstream.getresponse(), fault)
            except (_Cut, ConnectionError, http.client.HTTPException):
                self._reset()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_ANY  # noqa: N815 - names that the base class looks for

    def log_message(self, format: str, *arguments: t.Any) -> None:  # noqa: A002 - the name of the base class
        """Silent: ``FaultProxy.requests`` has it."""

    def _refuse(self, fault: _Fault) -> None:
        message = _MESSAGES[fault.code]
        body = f'<?xml version="1.0"?><Error><Code>{fault.code}</Code><Message>{message}</Message></Error>'.encode()
        self.send_response(fault.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _pass_request(self, upstream: http.client.HTTPConnection, fault: _Fault | None) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                upstream.putheader(name, value)
        chunked = self._is_chunked()
        if chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        body = self._body(fault.cut_upload_at if fault else None)
        upstream.endheaders(body, encode_chunked=chunked)

    def _pass_answer(self, answer: http.client.HTTPResponse, fault: _Fault | None) -> None:
        self.send_response_only(answer.status, answer.reason)
        length = answer.getheader("Content-Length")
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if length is None and not bodiless:
            self.send_header("Connection", "close")
        self.end_headers()
        left = fault.cut_download_at if fault else None
        while block := answer.read(_BLOCK):
            if left is not None and len(block) > left:
                self.wfile.write(block[:left])
                raise _Cut
            self.wfile.write(block)
            left = None if left is None else left - len(block)

    def _is_chunked(self) -> bool:
        return "chunked" in self.headers.get("Transfer-Encoding", "").lower()

    def _body(self, cut_at: int | None) -> Iterator[bytes]:
        passed = 0
        for block in (
            self._chunks() if self._is_chunked() else self._counted(int(self.headers.get("Content-Length", 0)))
        ):
            if cut_at is not None and passed + len(block) > cut_at:
                yield block[: cut_at - passed]
                raise _Cut
            passed += len(block)
            yield block

    def _counted(self, length: int) -> Iterator[bytes]:
        while length:
            block = self.rfile.read(min(_BLOCK, length))
            if not block:
                raise _Cut
            length -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while length := int(self.rfile.readline().split(b";")[0], 16):
            yield from self._counted(length)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _reset(self) -> None:
        """RST rather than an orderly end: what a client sees when a cable is cut."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
