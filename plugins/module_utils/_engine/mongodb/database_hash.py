# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's own hash of each collection (``dbHash``), of the source when it is dumped and of its copy.

A server hashes what is there now, not a snapshot: so the source is hashed before and after the dump, and only what is
the same both times was the same in between and is noted. While it hashes a database the server lets nobody write to it
(https://www.mongodb.com/docs/manual/reference/command/dbHash/), so a member that nobody waits for is the one to read.
"""

from __future__ import annotations

import typing as t

from ..recovery.questions import FAILED, PASSED, Check
from .faults import named_faults

if t.TYPE_CHECKING:
    from .connection import Client

Hashes = t.Mapping[tuple[str, str], str]
_SHOWN = 5


def read_hashes(client: Client, collections: t.Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The MD5 of each (database, name) that the server hashes; views and what isn't there have none.

    Raises MongoUnreachable, MongoPermissionDenied (the role backup has the right) and MongoError.
    """
    wanted: dict[str, list[str]] = {}
    for database, name in collections:
        wanted.setdefault(database, []).append(name)
    found: dict[tuple[str, str], str] = {}
    for database, names in wanted.items():
        with named_faults(f"Hashing the database {database}"):
            answer = client[database].command({"dbHash": 1, "collections": names})
        found.update({(database, str(name)): str(md5) for name, md5 in answer["collections"].items()})
    return found


def unchanged(before: Hashes, after: Hashes) -> dict[tuple[str, str], str]:
    """What was the same before and after."""
    return {name: md5 for name, md5 in before.items() if after.get(name) == md5}


def hash_checks(
    client: Client, *, noted: Hashes, targets: t.Mapping[tuple[str, str], tuple[str, str]]
) -> t.Iterator[Check]:
    """One check of all that was noted; none where nothing was. *targets* says under which name each was restored."""
    if not noted:
        return
    now = read_hashes(client, (targets[name] for name in noted if name in targets))
    different = [
        ".".join(name) for name, md5 in sorted(noted.items()) if name not in targets or now.get(targets[name]) != md5
    ]
    shown = ", ".join(different[:_SHOWN]) + (f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else "")
    yield Check(
        name="restored hashes",
        state=FAILED if different else PASSED,
        message=f"{shown}: the server's hash is not that of the source."
        if different
        else f"The server's hash of {len(noted)} collections is that of the source.",
        found=different or None,
    )
