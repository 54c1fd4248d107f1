# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libpq and the server say when a connection can't be made."""

from __future__ import annotations

from ..core.errors import (
    PostgresAuthenticationFailed,
    PostgresDatabaseMissing,
    PostgresHbaRefused,
    PostgresNotReady,
    PostgresPermissionDenied,
    PostgresReplicationForbidden,
    PostgresTlsUnsupported,
    PostgresTlsUntrusted,
    PostgresTooManyConnections,
    PostgresUnreachable,
    PostgresWalSendersExhausted,
)
from .message_rule import Rule, rule

_METHODS = "Ident|Peer|GSSAPI|SSPI|PAM|BSD|LDAP|certificate|RADIUS"

CONNECTING: tuple[Rule, ...] = (
    rule(
        r'password authentication failed for user "(?P<role>[^"]*)"',
        error=PostgresAuthenticationFailed,
        message="PostgreSQL at {server} refuses the password of the role {role} (or there is no such role).",
        hint="Check the reference to the password, then run: {psql}",
    ),
    rule(
        r"no password supplied",
        error=PostgresAuthenticationFailed,
        message="PostgreSQL at {server} asks for the password of the role {user}, and the connection names none.",
        hint="Give one of password_file, password_env, password_command and passfile.",
    ),
    rule(
        rf'(?P<method>{_METHODS})[a-z ]*authentication failed for user "(?P<role>[^"]*)"',
        error=PostgresAuthenticationFailed,
        message="PostgreSQL at {server} does not accept the role {role} by {method} authentication.",
        hint="See the server's pg_hba.conf for the method and its log for the reason, then run: {psql}",
    ),
    rule(
        r'role "(?P<role>[^"]*)" (?:does not exist|is not permitted to log in)',
        error=PostgresAuthenticationFailed,
        message="PostgreSQL at {server} has no role {role} that may log in.",
        hint='Run on the server: CREATE ROLE "{role}" LOGIN REPLICATION;',
    ),
    rule(
        r'no pg_hba\.conf entry for replication connection from host "(?P<peer>[^"]*)", user "(?P<role>[^"]*)"',
        r'pg_hba\.conf rejects replication connection for host "(?P<peer2>[^"]*)", user "(?P<role2>[^"]*)"',
        error=PostgresHbaRefused,
        message="pg_hba.conf of PostgreSQL at {server} has no line that lets the role {role} open replication "
        "connections from {peer}; lines for all databases don't cover them.",
        hint="Add this line to pg_hba.conf, then run SELECT pg_reload_conf();"
        "   {hba_type} replication {role} {hba_peer} scram-sha-256",
    ),
    rule(
        r'no pg_hba\.conf entry for host "(?P<peer>[^"]*)", user "(?P<role>[^"]*)", database "(?P<name>[^"]*)"',
        r'pg_hba\.conf rejects connection for host "(?P<peer2>[^"]*)", user "(?P<role2>[^"]*)", '
        r'database "(?P<name2>[^"]*)"',
        error=PostgresHbaRefused,
        message="pg_hba.conf of PostgreSQL at {server} has no line that lets the role {role} into the database "
        "{name} from {peer}.",
        hint="Add this line to pg_hba.conf, then run SELECT pg_reload_conf();"
        "   {hba_type} {name} {role} {hba_peer} scram-sha-256",
    ),
    rule(
        r"server does not support SSL, but SSL was required",
        error=PostgresTlsUnsupported,
        message="The connection demands TLS, and PostgreSQL at {server} does not offer it.",
        hint="Set ssl = on with a certificate on the server, or sslmode: prefer in the connection.",
    ),
    rule(
        r"certificate verify failed",
        r"root certificate file .* does not exist",
        r"does not match host name",
        r"self[- ]signed certificate",
        error=PostgresTlsUntrusted,
        message="The certificate of PostgreSQL at {server} can't be trusted: {line}",
        hint="Set sslrootcert to the file of the authority that signed it, and host to the name in the certificate.",
    ),
    rule(
        r'database "(?P<name>[^"]*)" (?:does not exist|is not currently accepting connections)',
        error=PostgresDatabaseMissing,
        message="PostgreSQL at {server} has no database {name} that takes connections.",
        hint="See which there are: psql -h {host} -p {port} -U {user} -l",
    ),
    rule(
        r'permission denied for database "(?P<name>[^"]*)"',
        error=PostgresPermissionDenied,
        message="The role {user} may not connect to the database {name} of PostgreSQL at {server}.",
        hint='Run on the server: GRANT CONNECT ON DATABASE "{name}" TO "{user}";',
    ),
    rule(
        r"could not translate host name",
        error=PostgresUnreachable,
        message="The host name {host} of the PostgreSQL server is not known here.",
        hint="Run: getent hosts {host}",
    ),
    rule(
        r"database system is (?:starting up|shutting down|in recovery mode|not yet accepting|not accepting)",
        error=PostgresNotReady,
        message="PostgreSQL at {server} is not ready: {line}",
        hint="Wait until this succeeds, then try again: pg_isready -h {host} -p {port}",
    ),
    rule(
        r"requested standby connections exceeds",
        error=PostgresWalSendersExhausted,
        message="All WAL senders of PostgreSQL at {server} are taken: {line}",
        hint="Raise max_wal_senders (needs a restart), or see who holds them: SELECT * FROM pg_stat_replication;",
    ),
    rule(
        r"too many clients already",
        r"remaining connection slots are reserved",
        r"too many connections for",
        error=PostgresTooManyConnections,
        message="PostgreSQL at {server} has no connection left: {line}",
        hint="Raise max_connections or the role's limit, or see who holds them: SELECT * FROM pg_stat_activity;",
    ),
    rule(
        r"must be superuser or replication role to start walsender",
        r"permission denied to start WAL sender",
        error=PostgresReplicationForbidden,
        message="The role {user} of PostgreSQL at {server} may not open replication connections, and a base backup "
        "needs one.",
        hint='Run on the server: ALTER ROLE "{user}" REPLICATION;',
    ),
    rule(
        r"Connection refused",
        r"No route to host",
        r"Network is unreachable",
        r"timeout expired",
        r"timed out",
        r"No such file or directory\s+Is the server running",
        error=PostgresUnreachable,
        message="Nobody answers at {server}: {line}",
        hint="Check that the server runs there: pg_isready -h {host} -p {port}",
    ),
)
