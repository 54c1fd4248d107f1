# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the server is and how to get in: a URI by reference, and TLS files."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import LibraryMissing, RequestInvalid
from ..core.options import number, optional_text, refuse_unknown
from ..core.runner import Runner
from ..core.secrets import Secret, secret_from
from .faults import Address, connection_fault
from .uri import direct_uri, seeds, shown_uri

if t.TYPE_CHECKING:
    from pymongo import MongoClient

    Client = MongoClient[dict[str, t.Any]]

_KEYS = (
    "uri",
    "uri_file",
    "uri_env",
    "uri_command",
    "tls_ca_file",
    "tls_certificate_key_file",
    "server_selection_timeout",
)
_DEFAULT_URI = "mongodb://127.0.0.1:27017"


@dataclass(frozen=True)
class MongoConnection:
    """One replica set or server by its URI, with references to secrets.

    *server_selection_timeout* (seconds) is how long a server may take to show up. Naming a TLS file turns TLS on.
    """

    uri: Secret
    tls_ca_file: str | None = None
    tls_certificate_key_file: str | None = None
    server_selection_timeout: float = 10.0

    @classmethod
    def from_description(cls, description: t.Mapping[str, t.Any]) -> MongoConnection:
        """The connection of a description; without a URI it is the server on this host.

        Raises RequestInvalid for unknown keys and contradictions.
        """
        of = "connection"
        refuse_unknown(description, known=_KEYS, of=of)
        uri = secret_from(description, "uri")
        return cls(
            uri=uri if uri.is_given else Secret(name="uri", value=_DEFAULT_URI),
            tls_ca_file=optional_text(description, "tls_ca_file", of=of),
            tls_certificate_key_file=optional_text(description, "tls_certificate_key_file", of=of),
            server_selection_timeout=number(
                description, "server_selection_timeout", of=of, default=10.0, at_most=600.0
            ),
        )

    @property
    def uses_tls_files(self) -> bool:
        """Whether TLS is on because one of its files is named."""
        return self.tls_ca_file is not None or self.tls_certificate_key_file is not None

    def fetch_uri(self, *, runner: Runner) -> str:
        """The URI with its secrets; it never goes into a message. Raises SecretUnavailable and RequestInvalid."""
        uri = (self.uri.fetch(runner=runner) or "").strip()
        if not uri.startswith(("mongodb://", "mongodb+srv://")):
            raise RequestInvalid(
                "The connection's uri does not begin with mongodb:// or mongodb+srv://.",
                hint="It looks like mongodb://user:password@host1,host2/?replicaSet=rs0 (special characters as %XX).",
            )
        return uri

    def open(self, *, runner: Runner, host: str | None = None) -> Client:
        """A client that is let in and answers: to the whole replica set, or to the member *host* alone.

        Raises MongoUnknownHost, MongoUnreachable, MongoTlsRequired, MongoTlsFailed, MongoAuthenticationFailed,
        RequestInvalid, SecretUnavailable and LibraryMissing; none of their texts holds a secret.
        """
        try:
            import pymongo
            import pymongo.errors
        except ImportError as error:
            raise LibraryMissing(
                "The Python library pymongo is not installed.",
                hint="Run: pip install pymongo",
                details={"library": "pymongo"},
            ) from error
        uri = self.fetch_uri(runner=runner)
        client: Client | None = None
        try:
            if host is not None:
                uri = direct_uri(uri, host=host)
            client = pymongo.MongoClient(uri, **self._client_options())
            client.admin.command("ping")
        except (pymongo.errors.PyMongoError, OSError, ValueError, TypeError) as error:
            servers = _server_errors(client)
            if client is not None:
                client.close()
            fault = connection_fault(
                error,
                shown=shown_uri(uri),
                servers=servers or tuple(Address(*seed) for seed in seeds(uri)),
                timeout=self.server_selection_timeout,
            )
            # The driver's own error may quote the URI: it must not stand in a traceback.
            raise fault from None
        return client

    def _client_options(self) -> dict[str, t.Any]:
        options: dict[str, t.Any] = {
            "serverSelectionTimeoutMS": int(self.server_selection_timeout * 1000),
            "connectTimeoutMS": int(self.server_selection_timeout * 1000),
            "appname": "lifeboat",
        }
        if self.uses_tls_files:
            options["tls"] = True
        if self.tls_ca_file is not None:
            options["tlsCAFile"] = self.tls_ca_file
        if self.tls_certificate_key_file is not None:
            options["tlsCertificateKeyFile"] = self.tls_certificate_key_file
        return options


def _server_errors(client: Client | None) -> tuple[Address, ...]:
    """The servers that the client tried, each with what went wrong there."""
    if client is None:
        return ()
    described = client.topology_description.server_descriptions()
    return tuple(
        Address(host=address[0], port=address[1] or 27017, error=str(server.error) if server.error else "")
        for address, server in described.items()
    )
