# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time series and encrypted collections: no server renames them, so they are loaded under their own names.

Only where there is nothing of that name. Which of them this restore made is noted on the server beside them, right
after each was made, so that taking them back after a death removes nothing that somebody else has made.
"""

from __future__ import annotations

import typing as t

from ..core.errors import RestoreTargetInvalid
from .collection_making import WRITE_CONCERN, MadeCollection, create
from .collection_metadata import read_metadata
from .faults import named_faults
from .restore_commands import count, drop
from .restore_names import RestoreNames
from .restore_selection import RestoreItem
from .restore_target import Existing, existing_in, on_primary

if t.TYPE_CHECKING:
    from .connection import Client


def require_absent(client: Client, items: t.Sequence[RestoreItem]) -> None:
    """Raise RestoreTargetInvalid when something of these names is there."""
    for item in items:
        found = existing_in(client, item.database).get(item.name)
        if found is not None:
            raise in_the_way(found, item)


def in_the_way(found: Existing, item: RestoreItem) -> RestoreTargetInvalid:
    """The refusal of an item that can't be exchanged."""
    what = "time series" if item.source.type == "timeseries" else "encrypted collection"
    return RestoreTargetInvalid(
        f"{found.full_name} exists already, and MongoDB can't rename the backup's {what} into its place.",
        hint="Restore it under another database's name (rename or suffix), check it there, and copy or exchange it by "
        "hand; or leave it out: name the other collections.",
        details={"collection": found.full_name},
    )


def make(client: Client, items: t.Sequence[RestoreItem], *, names: RestoreNames) -> dict[str, str | None]:
    """Make these anew, empty; their UUIDs by ``database.name``. What a run that died has made of them is removed first.

    Raises RestoreTargetInvalid when there is one that somebody else made.
    """
    for item in items:
        found = existing_in(client, item.database).get(item.name)
        if found is not None:
            if not _is_ours(client, found, names=names):
                raise in_the_way(found, item)
            drop(client, item.database, item.name)
    made: dict[str, str | None] = {}
    for item in items:
        metadata = read_metadata(item.source)
        create(client, MadeCollection(database=item.database, name=item.name, metadata=metadata))
        uuid = existing_in(client, item.database)[item.name].uuid
        _mark(client, item, uuid=uuid, names=names)
        made[item.full_name] = uuid
    return made


def note_coming(client: Client, items: t.Sequence[RestoreItem], *, names: RestoreNames) -> None:
    """Note that a program will make these, which does not tell their UUIDs; what a dead run has made is removed first.

    Raises RestoreTargetInvalid when there is one that somebody else made.
    """
    for item in items:
        found = existing_in(client, item.database).get(item.name)
        if found is not None:
            if not _is_ours(client, found, names=names):
                raise in_the_way(found, item)
            drop(client, item.database, item.name)
        _mark(client, item, uuid=None, names=names)


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
    """Whether this restore made it: noted, or empty as it is before that is noted. It was absent when it began."""
    with named_faults(f"Reading in {found.database}", role="readWriteAnyDatabase"):
        marks = list(on_primary(client, found.database)[names.marks].find({"name": found.name}))
    if marks:
        return any(mark["uuid"] in (None, found.uuid) for mark in marks)
    return found.uuid is not None and count(client, found) == 0


def _mark(client: Client, item: RestoreItem, *, uuid: str | None, names: RestoreNames) -> None:
    with named_faults(f"Writing into {item.database}", role="restore, readWriteAnyDatabase"):
        client[item.database].command(
            {
                "insert": names.marks,
                "documents": [{"name": item.name, "uuid": uuid}],
                "writeConcern": dict(WRITE_CONCERN),
            }
        )
