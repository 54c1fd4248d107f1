# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the driver and the server complain about, as errors with a name and a next step.

Server and driver texts are quoted only where they can't hold a secret: never for a URI that could not be parsed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import typing as t
from dataclasses import dataclass

from ..core.errors import (
    LifeboatError,
    MongoAuthenticationFailed,
    MongoCollectionChanged,
    MongoError,
    MongoNotAuthorised,
    MongoSnapshotTooOld,
    MongoTlsFailed,
    MongoTlsRequired,
    MongoUnknownHost,
    MongoUnreachable,
    RequestInvalid,
)

# Error codes of the server, from src/mongo/base/error_codes.yml of github.com/mongodb/mongo.
UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
NAMESPACE_NOT_FOUND = 26
CURSOR_NOT_FOUND = 43
COMMAND_NOT_FOUND = 59
QUERY_PLAN_KILLED = 175
SNAPSHOT_TOO_OLD = 239
SNAPSHOT_UNAVAILABLE = 246
_NO_AUTH_MECHANISM = 334
_PROBE_SECONDS = 3.0
_LOOK = "Look at the server's log of that moment (mongod.log), mend what it says, and run it again."


@dataclass(frozen=True)
class Address:
    """A server that was tried, and what the driver said about it."""

    host: str
    port: int
    error: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def connection_fault(
    error: BaseException, *, shown: str, servers: t.Sequence[Address], timeout: float
) -> LifeboatError:
    """Why a client could not be opened, by its name. *shown* is the URI without its secrets."""
    from pymongo import errors

    missing_file = isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError))
    if missing_file or isinstance(error, (errors.InvalidURI, errors.ConfigurationError, ValueError, TypeError)):
        return _configuration_fault(error, shown=shown)
    if isinstance(error, errors.OperationFailure):
        return _login_fault(error, shown=shown)
    if not isinstance(error, (errors.ConnectionFailure, OSError)):
        return MongoError(
            f"Connecting to {shown} failed: {type(error).__name__}.", hint=_LOOK, details={"server": shown}
        )
    return _network_fault(error, shown=shown, servers=servers, timeout=timeout)


def _configuration_fault(error: BaseException, *, shown: str) -> LifeboatError:
    lower = str(error).lower()
    if "dns" in lower or "resolution" in lower or "nameserver" in lower:
        return MongoUnknownHost(
            f"The DNS records of {shown} can't be read.",
            hint="Check the name behind mongodb+srv:// and that this host's resolver works.",
            details={"server": shown},
        )
    # Only the TLS files are opened by the driver.
    if isinstance(error, OSError) or any(
        word in lower for word in ("certificate", "pem", "ca_certs", "tlscafile", "cafile")
    ):
        return RequestInvalid(
            "The TLS files of the connection can't be used.",
            hint="Check that tls_ca_file and tls_certificate_key_file exist, are PEM and may be read.",
        )
    # The driver's text may quote parts of the URI, so it isn't shown.
    return RequestInvalid(
        f"The connection's uri can't be used ({type(error).__name__}).",
        hint="It looks like mongodb://user:password@host1,host2/?replicaSet=rs0; write : / ? # [ ] @ in names and "
        "passwords as %3A %2F %3F %23 %5B %5D %40.",
    )


def _login_fault(error: t.Any, *, shown: str) -> LifeboatError:
    if error.code in (AUTHENTICATION_FAILED, _NO_AUTH_MECHANISM, UNAUTHORIZED):
        return MongoAuthenticationFailed(
            f"{shown} does not accept the name and password of the uri.",
            hint="Check user, password and authSource of the uri (authSource=admin for users that were made in admin).",
            details={"server": shown, "server_code": error.code},
        )
    return MongoError(
        f"{shown} answered with error {error.code}.", hint=_LOOK, details={"server": shown, "server_code": error.code}
    )


def _network_fault(error: BaseException, *, shown: str, servers: t.Sequence[Address], timeout: float) -> LifeboatError:
    text = " ".join([str(error), *(server.error for server in servers)])
    details = {"server": shown, "tried": [str(server) for server in servers]}
    if servers and all(not _resolves(server) for server in servers):
        names = ", ".join(sorted({server.host for server in servers}))
        return MongoUnknownHost(
            f"No address is known for {names}.",
            hint=f"Check the spelling in the uri, and run: getent hosts {servers[0].host}",
            details=details,
        )
    if "SSL handshake failed" in text or "CERTIFICATE" in text or "SSLError" in text or "[SSL" in text:
        return _tls_fault(text, shown=shown, details=details)
    if any(_speaks_tls(server) for server in servers):
        return MongoTlsRequired(
            f"{shown} speaks TLS only, but the connection was made without.",
            hint="Name the authority's certificate as tls_ca_file in the connection, or add tls=true to the uri.",
            details=details,
        )
    return MongoUnreachable(
        f"No suitable server answers at {shown} within {timeout:g} seconds.",
        hint="Check that mongod runs there, its bindIp and port, firewalls, and the replicaSet name in the uri.",
        details={**details, "errors": sorted({server.error[:200] for server in servers if server.error})},
    )


def _tls_fault(text: str, *, shown: str, details: t.Mapping[str, t.Any]) -> MongoTlsFailed:
    if "CERTIFICATE_VERIFY_FAILED" in text and "hostname" not in text.lower() and "IP address" not in text:
        what, hint = "its certificate is not signed by an authority that we know", "Name its authority as tls_ca_file."
    elif "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        what, hint = "its certificate is for another name", "Use the name in the certificate in the uri."
    elif "alert" in text.lower() or "CERTIFICATE_REQUIRED" in text:
        what, hint = (
            "it does not accept our certificate or wants one",
            "Set tls_certificate_key_file (certificate and key).",
        )
    else:
        what, hint = "it seems to speak without TLS", "Take tls=true and the tls_ files out, or turn TLS on in mongod."
    return MongoTlsFailed(f"TLS with {shown} failed: {what}.", hint=hint, details=details)


def _resolves(server: Address) -> bool:
    if server.host.startswith("/"):
        return True
    try:
        return bool(socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM))
    except OSError:
        return False


def _speaks_tls(server: Address) -> bool:
    """Whether a TLS handshake gets so far that it is clear that the other side speaks TLS."""
    # Nothing is sent over this connection, so the certificate needs no check.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        plain = socket.create_connection((server.host, server.port), timeout=_PROBE_SECONDS)
        with plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        # An alert is said in TLS, too: a server that wants our certificate first.
        return "ALERT" in str(error).upper()
    except OSError:
        return False


@contextlib.contextmanager
def named_faults(doing: str, *, role: str = "backup") -> t.Iterator[None]:
    """Turn what the driver raises inside into our errors; *doing* completes "... failed", *role* is what it needs."""
    from pymongo import errors

    try:
        yield
    except errors.OperationFailure as error:
        raise server_fault(error, doing=doing, role=role) from error
    except errors.PyMongoError as error:
        raise MongoUnreachable(
            f"{doing} failed: the connection to the server was lost ({type(error).__name__}).",
            hint="Run it again; if it happens again look into mongod's log for restarts and elections.",
            details={"error": str(error)[:500]},
        ) from error


def server_fault(error: t.Any, *, doing: str, role: str) -> LifeboatError:
    """A server's error reply by its name."""
    details = {"server_code": error.code, "server_message": _message(error)}
    if error.code == UNAUTHORIZED:
        return MongoNotAuthorised(
            f"{doing} failed: the user lacks the role {role}.",
            hint='In mongosh, as administrator: db.getSiblingDB("admin").grantRolesToUser("NAME", '
            '[{role: "backup", db: "admin"}, {role: "clusterMonitor", db: "admin"}])',
            details={**details, "missing_role": role},
        )
    if error.code == SNAPSHOT_TOO_OLD:
        return MongoSnapshotTooOld(
            f"{doing} failed: the server no longer has the history back to the snapshot.",
            hint="Raise the server's parameter minSnapshotHistoryWindowInSeconds above the dump's duration "
            "(raise_history_window: true does it for the run), or dump the whole instance with consistency: oplog.",
            details=details,
        )
    if error.code in (QUERY_PLAN_KILLED, NAMESPACE_NOT_FOUND, SNAPSHOT_UNAVAILABLE):
        return MongoCollectionChanged(
            f"{doing} failed: the collection was dropped, renamed or made anew meanwhile.",
            hint="Run the backup again when no collections are being dropped or renamed.",
            details=details,
        )
    return MongoError(f"{doing} failed: {_message(error)} (error {error.code}).", hint=_LOOK, details=details)


def _message(error: t.Any) -> str:
    reply = error.details if isinstance(error.details, t.Mapping) else {}
    return str(reply.get("errmsg", ""))[:500]
