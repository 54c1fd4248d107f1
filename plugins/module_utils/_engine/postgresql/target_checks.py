# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known before a dump is loaded: versions, rights, extensions, roles, tablespaces and room."""

from __future__ import annotations

import os
import re
import shutil
import typing as t

from ..core.errors import (
    PostgresExtensionMissing,
    PostgresPermissionDenied,
    PostgresRoleMissing,
    RestoreTargetInvalid,
    RestoreVersionMismatch,
    ToolTooOld,
)
from ..core.runner import Runner
from .clients import ClientProgram, find_client
from .dump_selection import Selection
from .dump_toc import DumpToc
from .facts import ClusterFacts
from .globals_sql import statements, unquoted
from .session import Session

_TO = re.compile(r' (?:TO|FROM) (?P<role>"(?:[^"]|"")+"|[^\s";]+)(?= WITH GRANT OPTION;|;)')
_FOR_ROLE = re.compile(r'ALTER DEFAULT PRIVILEGES FOR ROLE (?P<role>"(?:[^"]|"")+"|[^\s";]+)')
_LOCAL = ("", "localhost", "127.0.0.1", "::1")
# An index takes about as much as the rows it is on, and all of it is written to the WAL too.
_GROWTH = 2.0


def find_pg_restore(
    *, server_major: int, dump_major: int, runner: Runner, bin_directory: str, name: str = "pg_restore"
) -> ClientProgram:
    """pg_restore that reads the dump and knows the server: at least as new as both. Raises ToolMissing, ToolTooOld."""
    needed = max(server_major, dump_major)
    try:
        return find_client(name, server_major=needed, runner=runner, bin_directory=bin_directory)
    except ToolTooOld as error:
        if dump_major <= server_major:
            raise
        raise ToolTooOld(
            f"The dump was made by pg_dump {dump_major}, and the {name} here is older: it could not read it.",
            hint=f"Install it, on Debian: apt-get install postgresql-client-{needed}   or set bin_directory.",
            details=error.details,
        ) from error


def require_version(facts: ClusterFacts, *, content: t.Mapping[str, t.Any]) -> None:
    """Raise RestoreVersionMismatch for a server older than the dumped one, RestoreTargetInvalid for a standby."""
    if facts.in_recovery:
        raise RestoreTargetInvalid(
            "The target server is a standby: it can't be written to.",
            hint="Restore into the primary; the standby follows by itself.",
        )
    source = int(content["server_version_number"]) // 10000
    if facts.major < source:
        raise RestoreVersionMismatch(
            f"The dump is of PostgreSQL {source}, and the target is PostgreSQL {facts.major}: "
            "dumps are only sure to load into the same or a later version.",
            hint=f"Restore into PostgreSQL {source} or later, for example into a fresh cluster (data_directory).",
            details={"source": source, "target": facts.major},
        )


def require_rights(session: Session, *, facts: ClusterFacts, creates: bool, replaces: str | None) -> None:
    """Raise PostgresPermissionDenied when the role may not make or rename databases and send people away."""
    if facts.superuser:
        return
    may_create, may_signal = session.rows(
        "SELECT rolcreatedb, pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER') FROM pg_catalog.pg_roles"
        " WHERE rolname = current_user"
    )[0]
    if creates and not may_create:
        raise PostgresPermissionDenied(
            f"The role {facts.role} may not create databases.",
            hint=f'Run on the server: ALTER ROLE "{facts.role}" CREATEDB;   or use existing: true.',
        )
    if replaces is None:
        return
    owns = session.value(
        "SELECT pg_catalog.pg_has_role(datdba, 'MEMBER') FROM pg_catalog.pg_database WHERE datname = %s", [replaces]
    )
    if not (owns and may_signal):
        raise PostgresPermissionDenied(
            f"The role {facts.role} may not take the database {replaces} from those who are connected to it.",
            hint=f'Run on the server: GRANT pg_signal_backend TO "{facts.role}";   and make it owner of {replaces}.',
        )


def require_extensions(session: Session, selection: Selection, *, facts: ClusterFacts) -> None:
    """Raise PostgresExtensionMissing for extensions that the server can't create for this role."""
    wanted = [entry.name for entry in selection.entries if entry.kind == "EXTENSION"]
    available = {row[0] for row in session.rows("SELECT name FROM pg_catalog.pg_available_extensions")}
    missing = [name for name in wanted if name not in available]
    if missing:
        raise PostgresExtensionMissing(
            f"The dump needs extensions that the target server does not have: {', '.join(missing)}.",
            hint=f"Install their packages on the target, on Debian for example postgresql-{facts.major}-{missing[0]}.",
            details={"missing": missing},
        )
    if facts.superuser or not wanted:
        return
    only_superusers = "SELECT DISTINCT name FROM pg_catalog.pg_available_extension_versions WHERE superuser"
    if session.version >= 130000:
        only_superusers += " AND NOT trusted"
    refused = session.rows(only_superusers + " AND name = ANY(%s)", [wanted])
    if refused:
        raise PostgresPermissionDenied(
            f"Only a superuser may create the extensions {', '.join(sorted(row[0] for row in refused))}, "
            f"and {facts.role} is none.",
            hint="Restore as a superuser.",
        )


def roles_named(toc: DumpToc, selection: Selection, *, owners: bool, privileges: bool) -> set[str]:
    """The roles that loading needs: who owns what, and who has been granted what."""
    about_database = [
        *toc.of_kind("DATABASE"),
        *(one for one in toc.of_kind("ACL") if one.name.startswith("DATABASE ")),
    ]
    found: set[str] = set()
    for entry in (*selection.entries, *about_database):
        if owners and entry.owner:
            found.add(entry.owner)
        if privileges and entry.kind in ("ACL", "DEFAULT ACL"):
            for statement in statements(entry.statement):
                for pattern in (_TO, _FOR_ROLE):
                    found |= {unquoted(match["role"]) for match in pattern.finditer(statement)}
        if entry.kind == "POLICY":
            match = re.search(
                r' TO (?P<roles>(?:"(?:[^"]|"")+"|[^\s";(])(?:[^;(]*?))(?= USING| WITH CHECK|;)', entry.statement
            )
            if match:
                found |= {unquoted(one.strip()) for one in match["roles"].split(",")}
    return found - {"PUBLIC", "public"}


def require_roles(
    session: Session,
    names: t.Collection[str],
    *,
    facts: ClusterFacts,
    made: t.Collection[str],
    owners: t.Collection[str],
) -> None:
    """Raise PostgresRoleMissing for roles that are not there and are not *made* before the load.

    Raise PostgresPermissionDenied when one of the *owners* is a role that who restores may not act as.
    """
    existing = {row[0] for row in session.rows("SELECT rolname FROM pg_catalog.pg_roles")}
    missing = sorted(set(names) - existing - set(made))
    if missing:
        raise PostgresRoleMissing(
            f"The target has no role {', '.join(missing)}, and the dump's objects belong to or are shared with them.",
            hint="Give roles: true (makes what is missing as it was), or owners: false and privileges: false.",
            details={"missing": missing},
        )
    if facts.superuser:
        return
    rows = session.rows(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s) AND NOT pg_catalog.pg_has_role(oid, 'MEMBER')",
        [sorted(owners)],
    )
    if rows:
        raise PostgresPermissionDenied(
            f"The role {facts.role} may not give anything to {', '.join(row[0] for row in rows)}.",
            hint="Restore as a superuser, or give owners: false.",
        )


def require_tablespaces(facts: ClusterFacts, toc: DumpToc, selection: Selection) -> None:
    """Raise RestoreTargetInvalid for tablespaces that the target lacks."""
    there = {tablespace.name for tablespace in facts.tablespaces}
    in_database = re.findall(
        r' TABLESPACE = ("(?:[^"]|"")+"|[^\s;]+)', "".join(one.statement for one in toc.of_kind("DATABASE"))
    )
    named = {entry.tablespace for entry in selection.entries if entry.tablespace} | set(map(unquoted, in_database))
    missing = sorted(named - there)
    if missing:
        raise RestoreTargetInvalid(
            f"The target has no tablespace {', '.join(missing)}, and the dump puts tables there.",
            hint="Give tablespaces: false (everything goes into the default one), or make them: CREATE TABLESPACE.",
            details={"missing": missing},
        )


def needed_bytes(content: t.Mapping[str, t.Any], *, plain_size: int) -> int:
    """About how much room the loaded database takes: its size when it was dumped, else a multiple of the dump."""
    return int(content.get("size") or plain_size * _GROWTH)


def free_on_server(facts: ClusterFacts, *, host: str) -> int | None:
    """Free bytes where the server keeps its data; None when the server is not on this host or doesn't tell."""
    directory = facts.settings.get("data_directory", "")
    is_local = host in _LOCAL or host.startswith("/")
    return shutil.disk_usage(directory).free if is_local and directory and os.path.isdir(directory) else None
