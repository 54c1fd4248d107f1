# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time series and encrypted collections: no server renames them, so they are loaded under their own names.

Only where there is nothing of that name. Which of them this restore makes is noted on the server beside them, before
and right after each is made, so that taking them back after a death removes nothing that somebody else has made.
"""

from __future__ import annotations

import typing as t

from ..core.errors import RestoreTargetInvalid
from .collection_making import WRITE_CONCERN, MadeCollection, create
from .collection_metadata import CollectionMetadata, read_metadata
from .faults import named_faults
from .restore_commands import count, drop
from .restore_names import RestoreNames
from .restore_selection import RestoreItem
from .restore_target import Existing, all_databases, existing_in, on_primary

if t.TYPE_CHECKING:
    from .connection import Client


# In place of a UUID: it is about to be made; or mongorestore will make it, which does not tell the UUID.
_COMING, _BY_PROGRAM = "coming", "by mongorestore"


def require_absent(client: Client, items: t.Sequence[RestoreItem]) -> None:
    """Raise RestoreTargetInvalid when something of these names is there."""
    for item in items:
        found = existing_in(client, item.database).get(item.name)
        if found is not None:
            raise in_the_way(found, read_metadata(item.source).options)


def in_the_way(found: Existing, options: t.Mapping[str, t.Any]) -> RestoreTargetInvalid:
    """The refusal of what can't be exchanged; *options* are those of the backup's collection."""
    what = "time series" if "timeseries" in options else "encrypted collection"
    return RestoreTargetInvalid(
        f"{found.full_name} exists already, and MongoDB can't rename the backup's {what} into its place.",
        hint="Restore it under another database's name (rename or suffix), check it there, and copy or exchange it by "
        "hand; or leave it out: name the other collections.",
        details={"collection": found.full_name},
    )


def make(
    client: Client, items: t.Sequence[RestoreItem], *, names: RestoreNames, without: t.Collection[str] = ()
) -> dict[str, str | None]:
    """Make these anew, empty; their UUIDs by ``database.name``. What a run that died has made of them is removed first.
    Options *without* are left out.

    Raises RestoreTargetInvalid when there is one that somebody else made.
    """
    made: dict[str, str | None] = {}
    for item in items:
        options = {key: value for key, value in read_metadata(item.source).options.items() if key not in without}
        made[item.full_name] = make_one(client, item.database, item.name, options, names=names)
    return made


def make_one(client: Client, database: str, name: str, options: t.Mapping[str, t.Any], *, names: RestoreNames) -> str:
    """As make(), for one with these options."""
    _clear(client, database, name, options, names=names)
    _mark(client, database, name, uuid=_COMING, names=names)
    metadata = CollectionMetadata(options=options)
    create(client, MadeCollection(database=database, name=name, metadata=metadata))
    uuid = str(existing_in(client, database)[name].uuid)
    _mark(client, database, name, uuid=uuid, names=names)
    return uuid


def note_coming(client: Client, items: t.Sequence[RestoreItem], *, names: RestoreNames) -> None:
    """Note that a program will make these, which does not tell their UUIDs; what a dead run has made is removed first.

    Raises RestoreTargetInvalid when there is one that somebody else made.
    """
    for item in items:
        _clear(client, item.database, item.name, read_metadata(item.source).options, names=names)
        _mark(client, item.database, item.name, uuid=_BY_PROGRAM, names=names)


def noted(client: Client, names: RestoreNames) -> list[str]:
    """``database.name`` of all that is noted on the server."""
    found: list[str] = []
    for database in all_databases(client):
        with named_faults(f"Reading in {database}", role="readWriteAnyDatabase"):
            marks = on_primary(client, database)[names.marks].find({}, {"name": 1})
            found += [f"{database}.{mark['name']}" for mark in marks]
    return found


def remove(client: Client, full_names: t.Sequence[str], *, known: t.Mapping[str, t.Any], names: RestoreNames) -> None:
    """Remove those of *full_names* that this restore made: with a UUID that is *known*, or noted on the server."""
    for full in full_names:
        database, _dot, name = full.partition(".")
        found = existing_in(client, database).get(name)
        if found is None:
            continue
        is_known = known.get(full) is not None and known[full] == found.uuid
        if is_known or (full not in known and _is_ours(client, found, names=names)):
            drop(client, database, name)


def _is_ours(client: Client, found: Existing, *, names: RestoreNames) -> bool:
    """Whether this restore made it: noted with its UUID, or empty as it is before that is noted."""
    with named_faults(f"Reading in {found.database}", role="readWriteAnyDatabase"):
        marks = {mark["uuid"] for mark in on_primary(client, found.database)[names.marks].find({"name": found.name})}
    if found.uuid is None or {found.uuid, _BY_PROGRAM} & marks:
        return found.uuid is not None
    return _COMING in marks and count(client, found) == 0


def _clear(client: Client, database: str, name: str, options: t.Mapping[str, t.Any], *, names: RestoreNames) -> None:
    """Remove what a run that died has made. Raises RestoreTargetInvalid for what somebody else made."""
    found = existing_in(client, database).get(name)
    if found is None:
        return
    if not _is_ours(client, found, names=names):
        raise in_the_way(found, options)
    drop(client, database, name)


def _mark(client: Client, database: str, name: str, *, uuid: str, names: RestoreNames) -> None:
    with named_faults(f"Writing into {database}", role="restore, readWriteAnyDatabase"):
        client[database].command(
            {
                "insert": names.marks,
                "documents": [{"name": name, "uuid": uuid}],
                "writeConcern": dict(WRITE_CONCERN),
            }
        )
