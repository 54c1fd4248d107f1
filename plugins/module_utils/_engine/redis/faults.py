# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers and sockets complain about, as errors with a name and a next step.

A server's own words are quoted, except for AUTH: an "unknown command" reply repeats its arguments.
"""

from __future__ import annotations

import socket
import ssl
import typing as t

from ..core.errors import (
    LifeboatError,
    RedisAuthenticationFailed,
    RedisCommandFailed,
    RedisCommandUnavailable,
    RedisLoading,
    RedisPermissionDenied,
    RedisProtectedMode,
    RedisTlsFailed,
    RedisUnreachable,
)

# Everything that a snapshot or an AOF set needs. SYNC reads the whole data set, so the user is as good as a superuser.
ACL_RULES = "-@all +ping +info +config|get +bgsave +replconf +sync"

# States of a server in which it answers every command with the same error.
_STATES: t.Mapping[str, tuple[type[LifeboatError], str, str]] = {
    "NOAUTH": (
        RedisAuthenticationFailed,
        "{peer} asks for a password and none was given.",
        "Give connection.password_file (and connection.username for a user other than default).",
    ),
    "LOADING": (
        RedisLoading,
        "{peer} is still loading its data set from disk.",
        "Wait until INFO persistence says loading:0, then run it again.",
    ),
    "DENIED": (
        RedisProtectedMode,
        "{peer} is in protected mode and talks to its own host only.",
        "Connect over loopback or the Unix socket, or give the server a password (ACL SETUSER, requirepass).",
    ),
}


def command_error(text: str, *, command: str, words: t.Sequence[object], peer: str) -> LifeboatError:
    """The named error for the error reply *text* to *command*; *words* is the whole command and is never quoted."""
    kind = text.split(" ", 1)[0]
    name = command.upper()
    if kind == "NOPERM":
        return _permission_denied(words, peer=peer)
    if name == "AUTH" and kind not in _STATES:
        return _authentication_failed(text, peer=peer)
    details = {"command": name, "server": peer}
    if kind in _STATES:
        error, message, hint = _STATES[kind]
        return error(message.format(peer=peer), hint=hint, details=details)
    if text.startswith("ERR unknown command"):
        return RedisCommandUnavailable(
            f"{peer} does not know the command {name}: it was renamed or switched off (managed services do that).",
            hint="Try method: sync or method: bgsave, whichever the service allows, or use the service's own backups.",
            details=details,
        )
    return RedisCommandFailed(f"{peer} answered {name} with an error: {text}", details=details)


def connection_lost(error: BaseException, *, doing: str, peer: str) -> LifeboatError:
    """The named error for a connection that broke while *doing* a command."""
    details = {"server": peer, "command": doing.upper()}
    if isinstance(error, socket.timeout):
        return RedisUnreachable(
            f"{peer} did not answer {doing.upper()} in time.",
            hint="Look for a long-running script or a swapping host (SLOWLOG GET), or raise connection.timeout.",
            details=details,
        )
    if isinstance(error, ssl.SSLError):
        return tls_failed(error, peer=peer)
    if isinstance(error, OSError):
        return RedisUnreachable(
            f"{peer} closed the connection during {doing.upper()}: {error.strerror or error}.",
            hint="Look at the server's log: it was stopped, restarted or has too many clients.",
            details=details,
        )
    return RedisUnreachable(
        f"{peer} does not speak the Redis protocol: it answered {doing.upper()} with {error}.",
        hint="Check host and port.",
        details=details,
    )


def cannot_connect(error: OSError, *, peer: str, timeout: float) -> LifeboatError:
    """The named error for a connection that could not be made at all."""
    details = {"server": peer}
    if isinstance(error, socket.gaierror):
        return RedisUnreachable(
            f"The host of {peer} is not known: {error.strerror}.",
            hint="Check connection.host: run getent hosts NAME on this host.",
            details=details,
        )
    if isinstance(error, socket.timeout):
        return RedisUnreachable(
            f"{peer} did not accept a connection within {timeout:g} seconds.",
            hint="Check host, port and firewall, or raise connection.timeout.",
            details=details,
        )
    return RedisUnreachable(
        f"{peer} can't be reached: {error.strerror or error}.",
        hint="Check that the server runs and listens there: redis-cli -h HOST -p PORT ping (or -s SOCKET).",
        details=details,
    )


def tls_failed(error: ssl.SSLError, *, peer: str) -> LifeboatError:
    """The named error for a TLS connection that one of the two sides did not want."""
    reason = error.reason or str(error)
    hint = "Look at the server's log for its side of the story."
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"the server's certificate is not trusted: {error.verify_message}"
        hint = "Give the authority that signed it as connection.tls_ca_file, and the name in it as connection.host."
    elif isinstance(error, ssl.SSLEOFError) or "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        # With TLS 1.3 a server refuses after our side of the handshake is done; its reason may get lost on the way.
        return tls_ended(peer=peer)
    return RedisTlsFailed(f"No TLS connection to {peer}: {reason}.", hint=hint, details={"server": peer})


def tls_ended(*, peer: str) -> LifeboatError:
    """The named error for a server that hangs up as soon as TLS stands, or before."""
    return RedisTlsFailed(
        f"No TLS connection to {peer}: the server ended it; most often because it wants a client certificate.",
        hint="Give connection.tls_certificate_file and tls_key_file, or set tls-auth-clients no on the server.",
        details={"server": peer},
    )


def _permission_denied(words: t.Sequence[object], *, peer: str) -> LifeboatError:
    name = str(words[0]).upper()
    if name == "CONFIG" and len(words) > 1:
        name = f"CONFIG {str(words[1]).upper()}"
    return RedisPermissionDenied(
        f"The user may not run {name} on {peer}.",
        hint=f"Run on the server: ACL SETUSER <user> {ACL_RULES}   and then ACL SAVE or CONFIG REWRITE.",
        details={"command": name, "server": peer},
    )


def _authentication_failed(text: str, *, peer: str) -> LifeboatError:
    details = {"command": "AUTH", "server": peer}
    if "without any password configured" in text or "no password is set" in text:
        return RedisAuthenticationFailed(
            f"A password was given, but the default user of {peer} has none.",
            hint="Name the user that it belongs to as connection.username, or leave the password out.",
            details=details,
        )
    if "wrong number of arguments" in text:
        return RedisAuthenticationFailed(
            f"{peer} is older than Redis 6 and knows no user names.",
            hint="Leave connection.username out.",
            details=details,
        )
    return RedisAuthenticationFailed(
        f"{peer} does not accept the user name and password.",
        hint="Check connection.username and what connection.password_file holds. By hand: redis-cli --askpass ping",
        details=details,
    )
