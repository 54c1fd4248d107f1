# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the server is and how to get in."""

from __future__ import annotations

import socket
import ssl
import typing as t
from dataclasses import dataclass, field

from ..core.errors import LifeboatError, RedisTlsMismatch, RedisUnreachable, RequestInvalid
from ..core.options import flag, number, optional_text, refuse_unknown
from ..core.runner import Runner
from ..core.secrets import Secret, secret_from
from .faults import cannot_connect, tls_ended, tls_failed
from .resp import RespClient

_PASSWORD_KEYS = ("password", "password_file", "password_env", "password_command")
_TLS_KEYS = ("tls_ca_file", "tls_certificate_file", "tls_key_file")
_KEYS = ("host", "port", "unix_socket", "username", *_PASSWORD_KEYS, "tls", *_TLS_KEYS, "timeout")


@dataclass(frozen=True)
class RedisConnection:
    """One server by address, with references to secrets; *timeout* (seconds) is for each single answer."""

    host: str = "127.0.0.1"
    port: int = 6379
    unix_socket: str | None = None
    username: str | None = None
    password: Secret = field(default_factory=lambda: Secret(name="password"))
    tls: bool = False
    tls_ca_file: str | None = None
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None
    timeout: float = 10.0

    @classmethod
    def from_description(cls, description: t.Mapping[str, t.Any]) -> RedisConnection:
        """The connection of a description. Raises RequestInvalid for unknown keys and contradictions."""
        of = "connection"
        refuse_unknown(description, known=_KEYS, of=of)
        tls = flag(description, "tls", of=of)
        unix_socket = optional_text(description, "unix_socket", of=of)
        certificate = optional_text(description, "tls_certificate_file", of=of)
        key = optional_text(description, "tls_key_file", of=of)
        if unix_socket is not None and any(description.get(name) is not None for name in ("host", "port")):
            raise RequestInvalid(
                "connection names both a unix_socket and a host or port.", hint="Keep the one that is meant."
            )
        if unix_socket is not None and tls:
            raise RequestInvalid(
                "connection asks for TLS on a unix_socket.", hint="Leave tls out, or give host and port."
            )
        if not tls and any(description.get(name) is not None for name in _TLS_KEYS):
            raise RequestInvalid("connection names TLS files, but tls is not true.", hint="Add tls: true.")
        if (certificate is None) != (key is None):
            raise RequestInvalid("connection needs tls_certificate_file and tls_key_file together, or neither.")
        port = number(description, "port", of=of, default=6379, at_most=65535)
        if port != int(port):
            raise RequestInvalid(f"connection.port must be a whole number, not {port!r}.")
        return cls(
            host=optional_text(description, "host", of=of) or "127.0.0.1",
            port=int(port),
            unix_socket=unix_socket,
            username=optional_text(description, "username", of=of),
            password=secret_from(description, "password"),
            tls=tls,
            tls_ca_file=optional_text(description, "tls_ca_file", of=of),
            tls_certificate_file=certificate,
            tls_key_file=key,
            timeout=number(description, "timeout", of=of, default=10.0, at_most=3600),
        )

    @property
    def address(self) -> str:
        """What messages and manifests call the server; holds no secret."""
        return f"unix:{self.unix_socket}" if self.unix_socket else f"{self.host}:{self.port}"

    def open(self, *, runner: Runner) -> RespClient:
        """A connection that is let in and answers.

        Raises RedisUnreachable, RedisTlsMismatch, RedisTlsFailed, RedisAuthenticationFailed, RedisProtectedMode,
        RedisLoading, RedisPermissionDenied and SecretUnavailable; none of their texts holds a secret.
        """
        password = self.password.fetch(runner=runner)
        client = RespClient(stream=self._stream(), peer=self.address)
        try:
            self._enter(client, password=password)
        except BaseException:
            client.close()
            raise
        return client

    def _enter(self, client: RespClient, *, password: str | None) -> None:
        try:
            if self.username is not None:
                client.command("AUTH", self.username, password or "")
            elif password is not None:
                client.command("AUTH", password)
            client.command("PING")
        except RedisUnreachable as error:
            if isinstance(error.__cause__, ConnectionError):
                self._explain_hanging_up()
            raise

    def _explain_hanging_up(self) -> None:
        """Raise the better name for a server that closes the connection at our first word."""
        if self.tls:
            raise tls_ended(peer=self.address)
        if self._speaks_tls():
            raise RedisTlsMismatch(
                f"{self.address} speaks TLS only, but the connection was made without.",
                hint="Add tls: true (and tls_ca_file) to the connection.",
                details={"server": self.address},
            )

    def _stream(self) -> socket.socket:
        if not self.tls:
            return self._plain_stream()
        context = self._tls_context()
        plain = self._plain_stream()
        try:
            return context.wrap_socket(plain, server_hostname=self.host)
        except OSError as error:
            plain.close()
            raise self._tls_fault(error) from error

    def _plain_stream(self) -> socket.socket:
        try:
            if self.unix_socket is not None:
                stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    stream.settimeout(self.timeout)
                    stream.connect(self.unix_socket)
                except OSError:
                    stream.close()
                    raise
                return stream
            stream = socket.create_connection((self.host, self.port), timeout=self.timeout)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return stream
        except OSError as error:
            raise cannot_connect(error, peer=self.address, timeout=self.timeout) from error

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.tls_ca_file)
            if self.tls_certificate_file is not None:
                context.load_cert_chain(self.tls_certificate_file, self.tls_key_file, password=_no_passphrase)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise RequestInvalid(
                f"The TLS files of the connection can't be used: {reason}.",
                hint="Check that tls_ca_file, tls_certificate_file and tls_key_file exist, are PEM and may be read.",
            ) from error
        return context

    def _tls_fault(self, error: OSError) -> LifeboatError:
        if not isinstance(error, ssl.SSLCertVerificationError) and self._speaks_plain():
            return RedisTlsMismatch(
                f"{self.address} speaks without TLS, but the connection asks for it.",
                hint="Take tls: true out, or give the server's tls-port.",
                details={"server": self.address},
            )
        if isinstance(error, ssl.SSLError):
            return tls_failed(error, peer=self.address)
        return cannot_connect(error, peer=self.address, timeout=self.timeout)

    def _speaks_plain(self) -> bool:
        """Whether a plain PING gets an answer in the Redis protocol."""
        try:
            with self._plain_stream() as stream:
                stream.settimeout(min(self.timeout, 3.0))
                stream.sendall(b"PING\r\n")
                return stream.recv(1) in (b"+", b"-")
        except (OSError, LifeboatError):
            return False

    def _speaks_tls(self) -> bool:
        """Whether a TLS handshake gets so far that it is clear that the other side speaks TLS."""
        if self.unix_socket is not None:
            return False
        # Nothing is sent over this connection, so the certificate needs no check.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with self._plain_stream() as plain:
                plain.settimeout(min(self.timeout, 3.0))
                with context.wrap_socket(plain):
                    return True
        except (OSError, LifeboatError):
            return False


def _no_passphrase() -> str:
    """Keep OpenSSL from asking on the terminal for the passphrase of an encrypted key."""
    raise ValueError("the key is protected by a passphrase")
