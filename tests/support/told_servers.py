# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers on loopback that are told things: one of the web, one of mail. They note what came, and can be down."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import socket
import socketserver
import ssl
import threading
import typing as t
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    """One request that was received."""

    method: str
    path: str
    headers: t.Mapping[str, str]
    body: bytes

    @property
    def document(self) -> t.Any:
        """Its JSON."""
        return json.loads(self.body)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client that goes away, or trusts nobody, is part of some tests."""

    def finish_request(self, request: t.Any, client_address: t.Any) -> None:
        wrapped = self.context.wrap_socket(request, server_side=True) if self.context is not None else request
        try:
            super().finish_request(wrapped, client_address)
        finally:
            with contextlib.suppress(OSError):
                wrapped.close()


class _Running:
    """A server in a thread, that can be stopped and started on the same port."""

    def __init__(self, handler: type[socketserver.BaseRequestHandler], context: ssl.SSLContext | None) -> None:
        self._handler = handler
        self._context = context
        self._server: _Server | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), self._handler)
        self._server.context = self._context
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class WebServer(_Running):
    """Answers each request with *status*, and keeps it in *calls*."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.status = 200
        self.statuses: dict[str, int] = {}
        self.location = ""
        self.delay = threading.Event()
        self.delay.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                outer.delay.wait(20)
                outer.calls.append(Call(self.command, self.path, dict(self.headers), body))
                self.send_response(outer.statuses.get(self.path, outer.status))
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST = do_PUT = answer  # noqa: N815 the names are those of http.server

            def log_message(self, *_arguments: t.Any) -> None:
                """Keep quiet."""

        super().__init__(Handler, context)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """What was called, in order."""
        return [call.path for call in self.calls]

    def take(self) -> list[Call]:
        """What came since it was asked last."""
        taken, self.calls = self.calls, []
        return taken


@dataclass
class MailRules:
    """What a mail server takes."""

    user: str = ""
    password: str = ""
    refused: tuple[str, ...] = ()
    starttls: ssl.SSLContext | None = None
    messages: list[tuple[list[str], bytes]] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


class MailServer(_Running):
    """As much of SMTP as smtplib speaks; messages are kept in ``rules.messages``."""

    def __init__(self, rules: MailRules | None = None, *, context: ssl.SSLContext | None = None) -> None:
        self.rules = rules or MailRules()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _Session(self, outer.rules, is_encrypted=context is not None).run()

        super().__init__(Handler, context)


class _Session:
    def __init__(self, handler: socketserver.StreamRequestHandler, rules: MailRules, *, is_encrypted: bool) -> None:
        self._handler = handler
        self._socket: socket.socket = handler.request
        self._in: t.Any = handler.rfile
        self._rules = rules
        self._encrypted = is_encrypted
        self._known = False
        self._recipients: list[str] = []

    def run(self) -> None:
        try:
            self._talk()
        finally:
            self._in.close()
            self._socket.close()

    def _talk(self) -> None:
        self._say("220 mail.test")
        while True:
            line = self._in.readline().decode("utf-8", "replace").strip()
            word = line.upper().split(" ")[0] if line else "QUIT"
            if word == "QUIT":
                self._say("221 bye")
                return
            getattr(self, f"_{word.lower()}", self._unknown)(line)

    def _say(self, text: str) -> None:
        self._socket.sendall(text.encode() + b"\r\n")

    def _unknown(self, _line: str) -> None:
        self._say("502 what?")

    def _ehlo(self, _line: str) -> None:
        said = ["mail.test"]
        if self._rules.starttls and not self._encrypted:
            said.append("STARTTLS")
        if self._rules.user:
            said.append("AUTH PLAIN")
        for word in said[:-1]:
            self._say(f"250-{word}")
        self._say(f"250 {said[-1]}")

    def _starttls(self, _line: str) -> None:
        if self._rules.starttls is None:
            self._unknown("")
            return
        self._say("220 go")
        self._socket = self._rules.starttls.wrap_socket(self._socket, server_side=True)
        self._in = self._socket.makefile("rb")
        self._encrypted = True

    def _auth(self, line: str) -> None:
        _nothing, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
        self._rules.logins.append(user)
        self._known = (user, password) == (self._rules.user, self._rules.password)
        self._say("235 welcome" if self._known else f"535 no such user, and not with {password}")

    def _mail(self, _line: str) -> None:
        self._recipients = []
        self._say("250 ok" if self._known or not self._rules.user else "530 log in first")

    def _rcpt(self, line: str) -> None:
        address = line.partition("<")[2].partition(">")[0]
        if address in self._rules.refused:
            self._say("550 nobody")
            return
        self._recipients.append(address)
        self._say("250 ok")

    def _rset(self, _line: str) -> None:
        self._say("250 ok")

    def _data(self, _line: str) -> None:
        self._say("354 go on")
        lines = []
        while True:
            line = self._in.readline()
            if line in (b".\r\n", b""):
                break
            lines.append(line)
        self._rules.messages.append((self._recipients, b"".join(lines)))
        self._rules.was_encrypted.append(self._encrypted)
        self._say("250 kept")
