# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of RESTORE.md: how to get a MongoDB dump back with stock mongorestore."""

from __future__ import annotations

import shlex

PAYLOAD = "dump.archive"


def restore_guide(
    *, database: str | None, has_oplog: bool, users_and_roles: bool, time_series: bool, server_version: str
) -> str:
    """Markdown with the exact commands. Pure."""
    sections = [
        _introduction(server_version=server_version, has_oplog=has_oplog, time_series=time_series),
        _whole(database=database, has_oplog=has_oplog),
    ]
    if database is None:
        sections.append(_one_database(has_oplog=has_oplog))
    sections.append(_renamed(database=database, has_oplog=has_oplog))
    sections.append(_users(database=database, users_and_roles=users_and_roles))
    return "\n".join(sections)


def _introduction(*, server_version: str, has_oplog: bool, time_series: bool) -> str:
    least = "100.20.0 or later" if has_oplog and time_series else "100.10.0 or later"
    return f"""\
The payload is a `mongodump` archive. It needs `mongorestore` {least} (MongoDB Database Tools) and a server of the
same release as the source ({server_version}) or with the same feature compatibility version.

Write the URI of the target into a file that only you can read, so that no password shows up in the process list:

```sh
umask 077; printf 'uri: "mongodb://USER:PASSWORD@HOST:27017/?authSource=admin"\\n' > target.yaml
```

`--bypassDocumentValidation` is not optional: without it `mongorestore` leaves out stored documents that a validator
would refuse today, and still ends with status 0.
"""


def _command(*options: str) -> str:
    words = ["mongorestore", "--config=target.yaml", "--archive", "--bypassDocumentValidation", *options]
    return f"```sh\n{{fetch:{PAYLOAD}}} | {' '.join(words)}\n```\n"


def _whole(*, database: str | None, has_oplog: bool) -> str:
    what = "everything" if database is None else f"the database {database}"
    options = ["--drop", *(["--oplogReplay"] if has_oplog else [])]
    oplog = (
        "\n`--oplogReplay` is not optional: only the oplog in the archive brings the collections to one moment.\n"
        if has_oplog
        else ""
    )
    return f"""\
## Restore {what}, replacing what is there

`--drop` drops each collection of the archive on the target before it is restored.
{oplog}
{_command(*options)}"""


def _one_database(*, has_oplog: bool) -> str:
    oplog = (
        "\n`mongorestore` replays an oplog only as a whole. Restore everything into an empty server (above) and copy\n"
        "the database from there; restored alone, its collections may stem from different moments.\n"
        if has_oplog
        else ""
    )
    return f"""\
## Restore one database
{oplog}
{_command("--drop", "--nsInclude='DATABASE.*'")}"""


def _renamed(*, database: str | None, has_oplog: bool) -> str:
    name = database or "DATABASE"
    source = shlex.quote(f"{name}.*")
    oplog = "\nWithout the oplog (see above), so for looking things up only.\n" if has_oplog else ""
    renamed = (f"--nsInclude={source}", f"--nsFrom={source}", f"--nsTo={shlex.quote(f'{name}_recovery.*')}")
    return f"""\
## Restore a database beside the living one, under another name
{oplog}
{_command(*renamed)}"""


def _users(*, database: str | None, users_and_roles: bool) -> str:
    if not users_and_roles:
        return """\
## Users and roles

This backup has no users and roles (users_and_roles: false).
"""
    if database is None:
        return """\
## Users and roles

They are restored with everything. To leave those of the target alone add `--nsExclude='admin.system.*'`.
"""
    if database == "admin":
        return """\
## Users and roles

They are part of the database admin and are restored with it.
"""
    return f"""\
## Users and roles

Those of the database are in the archive, but are only restored when asked for:

{_command("--drop", f"--db={shlex.quote(database)}", "--restoreDbUsersAndRoles")}"""
