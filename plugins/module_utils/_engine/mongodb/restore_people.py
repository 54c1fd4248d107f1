# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and roles of a backup, put in force by the server's own command, and taken back.

They are loaded into collections of their own in admin first. What the target has under the same names is copied beside
them before; the hashes of passwords never leave the server but for that copy, and are in no notes.
"""

from __future__ import annotations

import typing as t

from ..core.errors import LifeboatError
from .collection_making import WRITE_CONCERN
from .faults import named_faults
from .restore_commands import drop
from .restore_names import RestoreNames
from .restore_target import on_primary

if t.TYPE_CHECKING:
    from .connection import Client

_KINDS = ("users", "roles")
_USER_NOT_FOUND, _ROLE_NOT_FOUND = 11, 31
_ROLE = "restore, readWriteAnyDatabase"


def keep_people(client: Client, names: RestoreNames, *, account: str | None) -> dict[str, t.Any]:
    """Copy what the target has of the loaded users and roles; *account*, with which we are logged in, is left alone.

    Returns ``{"users": {"loaded": [ids], "replaced": [ids]}, "roles": ...}``; an id is ``database.name``.
    """
    found: dict[str, t.Any] = {}
    for kind in _KINDS:
        loaded, before = f"{names.people}.{kind}", f"{names.people_before}.{kind}"
        drop(client, "admin", before)
        with named_faults(f"Copying the {kind} that are there", role=_ROLE):
            admin = on_primary(client, "admin")
            if account is not None and kind == "users":
                admin[loaded].delete_one({"_id": account})
            ids = sorted(str(one["_id"]) for one in admin[loaded].find({}, {"_id": 1}))
            replaced: list[str] = []
            for start in range(0, len(ids), 500):
                old = list(admin[f"system.{kind}"].find({"_id": {"$in": ids[start : start + 500]}}))
                replaced += [str(one["_id"]) for one in old]
                if old:
                    admin.command({"insert": before, "documents": old, "writeConcern": dict(WRITE_CONCERN)})
        found[kind] = {"loaded": ids, "replaced": sorted(replaced)}
    return found


def forget_kept(client: Client, names: RestoreNames) -> None:
    """Remove the copies that keep_people() made."""
    for kind in _KINDS:
        drop(client, "admin", f"{names.people_before}.{kind}")


def forget_loaded(client: Client, names: RestoreNames) -> None:
    """Remove the collections that users and roles were loaded into."""
    for kind in _KINDS:
        drop(client, "admin", f"{names.people}.{kind}")


def merge(client: Client, beginning: str) -> None:
    """Put the users and roles in ``admin.BEGINNING.users`` and ``.roles`` in force, beside all others."""
    there = set(on_primary(client, "admin").list_collection_names())
    users, roles = (f"{beginning}.{kind}" for kind in _KINDS)
    if not {users, roles} & there:
        return
    with named_faults("Putting users and roles in force", role=_ROLE):
        client.admin.command(
            {
                "_mergeAuthzCollections": 1,
                "tempUsersCollection": f"admin.{users}" if users in there else "",
                "tempRolesCollection": f"admin.{roles}" if roles in there else "",
                "drop": False,
                "db": "",
                "writeConcern": dict(WRITE_CONCERN),
            }
        )


def unmerge(client: Client, kept: t.Mapping[str, t.Any], names: RestoreNames) -> None:
    """Remove what was not there before, and put in force again what was. Fit to be called twice."""
    for kind, command, missing in (("users", "dropUser", _USER_NOT_FOUND), ("roles", "dropRole", _ROLE_NOT_FOUND)):
        one = kept.get(kind, {})
        for identity in sorted(set(one.get("loaded", ())) - set(one.get("replaced", ()))):
            database, _dot, name = identity.partition(".")
            try:
                with named_faults(f"Removing {identity}", role=_ROLE):
                    client[database].command({command: name, "writeConcern": dict(WRITE_CONCERN)})
            except LifeboatError as error:
                if error.details.get("server_code") != missing:
                    raise
    merge(client, names.people_before)
