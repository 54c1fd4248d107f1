# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of a restore that change names and remove things, each confirmed by a majority."""

from __future__ import annotations

import typing as t

from ..core.errors import LifeboatError, MongoLoadFailed
from .collection_making import WRITE_CONCERN
from .faults import NAMESPACE_NOT_FOUND, UNAUTHORIZED, named_faults
from .namespace_map import BUCKETS
from .namespaces import TIME_SERIES
from .restore_names import RestoreNames
from .restore_target import Existing, all_databases, existing_in, on_primary

if t.TYPE_CHECKING:
    from .connection import Client

NAMESPACE_EXISTS = 48
_VIEWS = "system.views"
_ROLES = "restore, readWriteAnyDatabase, dbAdminAnyDatabase"


def rename(client: Client, database: str, old: str, new: str) -> bool:
    """Rename within a database; False when *old* is gone or *new* is there by now. Raises MongoLoadFailed."""
    command = {
        "renameCollection": f"{database}.{old}",
        "to": f"{database}.{new}",
        "dropTarget": False,
        "writeConcern": dict(WRITE_CONCERN),
    }
    try:
        with named_faults(f"Renaming {database}.{old}", role=_ROLES):
            client.admin.command(command)
    except LifeboatError as error:
        code = error.details.get("server_code")
        if code in (NAMESPACE_EXISTS, NAMESPACE_NOT_FOUND):
            return False
        if code is None or code == UNAUTHORIZED:
            raise
        raise MongoLoadFailed(
            f"{database}.{old} can't be renamed to {new}: {error.details.get('server_message', '')} (error {code}).",
            hint="Restore beside what is there (rename or suffix, without in_place), and copy from there.",
            details=error.details,
        ) from error
    return True


def drop(client: Client, database: str, name: str) -> None:
    """Remove a collection, view or time series; one that is gone is fine."""
    try:
        with named_faults(f"Removing {database}.{name}", role=_ROLES):
            client[database].command({"drop": name, "writeConcern": dict(WRITE_CONCERN)})
    except LifeboatError as error:
        if error.details.get("server_code") != NAMESPACE_NOT_FOUND:
            raise


def drop_own(client: Client, names: RestoreNames, *, prefixes: t.Sequence[str]) -> None:
    """Remove all collections of this restore whose names begin with one of *prefixes*, in any database."""
    for database in all_databases(client):
        for name in existing_in(client, database):
            if name.startswith(tuple(prefixes)) and names.restore_id in name:
                drop(client, database, name)


def drop_empty(client: Client, databases: t.Sequence[str]) -> None:
    """Remove what the server leaves of a database whose last view was removed: the empty list of its views."""
    for database in databases:
        handle = on_primary(client, database)
        with named_faults(f"Listing the collections of {database}", role="restore"):
            left = handle.list_collection_names()
        if left != [_VIEWS]:
            continue
        try:
            with named_faults(f"Looking at the views of {database}", role=_ROLES):
                if handle.command({"count": _VIEWS})["n"] == 0:
                    drop(client, database, _VIEWS)
        except LifeboatError as error:
            # Whoever may not do that leaves an empty database, as anybody does who drops the last view of one.
            if error.details.get("server_code") != UNAUTHORIZED:
                raise


def count(client: Client, one: Existing) -> int:
    """How many documents a collection has, by its metadata; of a time series its buckets."""
    name = BUCKETS + one.name if one.type == TIME_SERIES else one.name
    with named_faults(f"Counting {one.full_name}", role="readAnyDatabase"):
        return int(on_primary(client, one.database).command({"count": name})["n"])
