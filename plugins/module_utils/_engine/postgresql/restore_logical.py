# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of RESTORE.md for logical dumps: stock tools only."""

from __future__ import annotations

import shlex
import typing as t

from .restore_words import become_postgres

# They are in every new cluster, so they are restored into and never created.
_ALWAYS_THERE = ("postgres", "template1")

_HEAD = """\
The dumps need `pg_restore` and a running server of PostgreSQL {major} or later (on Debian and Ubuntu `apt install
postgresql` makes one and starts it).

{become}
The programs find the server through the usual variables:

    export PGHOST=${{PGHOST:-/var/run/postgresql}} PGPORT=${{PGPORT:-5432}} PGUSER=${{PGUSER:-postgres}}
"""
_GLOBALS = """\
## A new cluster: roles and tablespaces first

    {fetch} | psql -X -d postgres

The message `role "postgres" already exists` is expected; any other error has to be looked at.
"""
_DATABASE = """\
## The database {title}

    {fetch}

What is inside: `pg_restore --list {dump}`. The whole database, as it was at {time}:

{whole}
One table (with its data; the table must not be there yet):

    pg_restore --exit-on-error --schema=SCHEMA --table=TABLE -d {name} {dump}

Faster on several processors: add `--jobs=4`.
"""
_INTO = """\
    pg_restore --exit-on-error -d {name} {dump}
"""
_CREATE = """\
    pg_restore --exit-on-error --create -d postgres {dump}

or beside the old one, under another name:

    createdb -T template0 restored
    pg_restore --exit-on-error -d restored {dump}
"""


def logical_restore_commands(
    *, databases: t.Sequence[t.Mapping[str, t.Any]], form: str, globals_payload: str | None, major: int
) -> str:
    """Markdown that brings the dumps back with pg_restore and psql of at least version *major*."""
    parts = [_HEAD.format(major=major, become=become_postgres(major=major))]
    if globals_payload is not None:
        parts.append(_GLOBALS.format(fetch=f"{{fetch:{globals_payload}}}"))
    parts.extend(_database(database, form=form) for database in databases)
    return "\n".join(parts)


def _database(database: t.Mapping[str, t.Any], *, form: str) -> str:
    payload = str(database["payload"])
    if form == "custom":
        dump = shlex.quote(payload)
        fetch = f"{{fetch:{payload}}} > {dump}"
    else:
        folder = shlex.quote(payload[: -len(".tar")])
        dump = f"{folder}/dump"
        fetch = f"mkdir -m 0700 {folder} && {{fetch:{payload}}} | tar -x -C {folder}"
    name = shlex.quote(connection_text(str(database["name"])))
    whole = _INTO if database["name"] in _ALWAYS_THERE else _CREATE
    return _DATABASE.format(
        title=database["name"],
        name=name,
        fetch=fetch,
        dump=dump,
        time=database["snapshot_time"],
        whole=whole.format(name=name, dump=dump),
    )


def connection_text(database: str) -> str:
    """What ``pg_restore -d`` takes for that database: a name with an equals sign is taken for a connection string."""
    if "=" not in database and "://" not in database:
        return database
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"
