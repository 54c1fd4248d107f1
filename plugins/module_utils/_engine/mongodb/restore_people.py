# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and roles of a backup, put in force by the server's own command, and taken back.

They are loaded into collections of their own in admin first. What the target has under the same names is copied beside
them before; the hashes of passwords never leave the server but for that copy, and are in no notes.
"""

from __future__ import annotations

import typing as t

from .collection_making import WRITE_CONCERN
from .faults import named_faults
from .restore_commands import drop
from .restore_names import RestoreNames
from .restore_target import on_primary

if t.TYPE_CHECKING:
    from .connection import Client

_KINDS = ("users", "roles")
_BATCH = 500
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
            for start in range(0, len(ids), _BATCH):
                old = list(admin[f"system.{kind}"].find({"_id": {"$in": ids[start : start + _BATCH]}}))
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
        drop(client, "admin", f"{names.people}.all_{kind}")


def put_in_force(client: Client, kept: t.Mapping[str, t.Any], names: RestoreNames) -> None:
    """Put the loaded users and roles in force; *kept* is what keep_people() said. All others stay as they are."""
    _merge(client, kept, beginning=names.people, names=names)


def take_back(client: Client, kept: t.Mapping[str, t.Any], names: RestoreNames) -> None:
    """Remove what was not there before, and put in force again what was. Fit to be called twice."""
    if kept:
        _merge(client, kept, beginning=names.people_before, names=names)


def _merge(client: Client, kept: t.Mapping[str, t.Any], *, beginning: str, names: RestoreNames) -> None:
    """Of the loaded names have what ``admin.BEGINNING.*`` holds, and of all others what is there now.

    The server's command replaces users only when it may also remove those that it is not given, so it is given all.
    """
    together = {kind: f"{names.people}.all_{kind}" for kind in _KINDS}
    for kind, name in together.items():
        drop(client, "admin", name)
        with named_faults(f"Collecting the {kind}", role=_ROLE):
            admin = on_primary(client, "admin")
            loaded = set(kept[kind]["loaded"])
            documents = list(admin[f"{beginning}.{kind}"].find({"_id": {"$in": sorted(loaded)}}))
            documents += [one for one in admin[f"system.{kind}"].find() if one["_id"] not in loaded]
            admin.command({"create": name, "writeConcern": dict(WRITE_CONCERN)})
            for start in range(0, len(documents), _BATCH):
                some = documents[start : start + _BATCH]
                admin.command({"insert": name, "documents": some, "writeConcern": dict(WRITE_CONCERN)})
    with named_faults("Putting users and roles in force", role=_ROLE):
        client.admin.command(
            {
                "_mergeAuthzCollections": 1,
                "tempUsersCollection": f"admin.{together['users']}",
                "tempRolesCollection": f"admin.{together['roles']}",
                "drop": True,
                "db": "",
                "writeConcern": dict(WRITE_CONCERN),
            }
        )
    for name in together.values():
        drop(client, "admin", name)
