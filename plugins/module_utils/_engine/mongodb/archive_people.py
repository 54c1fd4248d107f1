# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of an archive that are no collections of anybody's: users, roles, and what belongs to the server itself."""

from __future__ import annotations

from ..core.errors import MongoArchiveInvalid
from . import bson_bytes
from .archive import ArchiveCollection

_USERS, _ROLES = "system.users", "system.roles"
_SERVERS_OWN = ("config", "local")


def kind_of_people(collection: ArchiveCollection) -> str | None:
    """Whether an entry holds "users" or "roles": of the whole instance, or one database's."""
    for name, kind in ((_USERS, "users"), (_ROLES, "roles")):
        if collection.name == f"$admin.{name}" or (collection.database == "admin" and collection.name == name):
            return kind
    return None


def is_servers_own(collection: ArchiveCollection) -> bool:
    """Whether it belongs to the server that it came from: the version of its data, its sharding, its sessions."""
    if collection.database in _SERVERS_OWN or collection.name.startswith("$"):
        return True
    return collection.database == "admin" and collection.name.startswith("system.")


def database_of(document: bytes) -> str:
    """The database that a user or role belongs to. Raises MongoArchiveInvalid."""
    try:
        found = bson_bytes.find(document, b"db")
        return "" if found is None else bson_bytes.text(document, found)
    except bson_bytes.MalformedBson as error:
        raise MongoArchiveInvalid(
            f"A user or role of the archive is not BSON: {error}.",
            hint="Take another copy of this backup, or another backup; this one can't be restored whole.",
        ) from error
