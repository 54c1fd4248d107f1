# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was loaded, held against the manifest and counted on the server, before it takes anybody's place."""

from __future__ import annotations

import sys
import typing as t

from ..core.errors import RestoreIncomplete
from .faults import named_faults
from .noted_content import NotedContent
from .restore_commands import count
from .restore_names import RestoreNames
from .restore_options import MongoRestoreOptions
from .restore_selection import wanted_of
from .restore_target import Existing, all_databases, existing_in, on_primary

if t.TYPE_CHECKING:
    from .connection import Client

_SHOWN = 5


def staged_collections(client: Client, names: RestoreNames) -> dict[str, dict[str, Existing]]:
    """What was loaded under staging names: by database and by the name that it will take."""
    found: dict[str, dict[str, Existing]] = {}
    for database in all_databases(client):
        for name, one in existing_in(client, database).items():
            if name.startswith(names.staging):
                found.setdefault(database, {})[names.final(name)] = one
    return found


def check_loaded(
    client: Client,
    load: t.Mapping[str, t.Any],
    *,
    noted: NotedContent,
    options: MongoRestoreOptions,
    names: RestoreNames,
    indexes_come_later: bool = False,
) -> dict[str, t.Any]:
    """Compare; *load* is what loading said. Raises RestoreIncomplete naming what differs.

    Where an oplog was replayed, the counts of the archive are compared with the manifest, and those of the server only
    told: collections went on changing while they were dumped. Documents that expire (TTL) may be gone already.
    """
    replayed = load["oplog"] is not None and load["oplog"]["operations"] > 0
    collections: t.Mapping[str, t.Mapping[str, t.Any]] = load["collections"]
    wrong = _against_manifest(collections, views=load["view_sources"], noted=noted, options=options)
    staged = staged_collections(client, names)
    documents = expired = 0
    for full, facts in collections.items():
        database, _dot, name = full.partition(".")
        found = staged.get(database, {}).get(name) or existing_in(client, database).get(name)
        if found is None:
            if not replayed:
                wrong.append(f"{full} is not there")
            continue
        there = count(client, found)
        documents += there
        if replayed or facts["documents"] is None:
            continue
        indexes, expires = _indexes(client, found)
        # A capped collection keeps what has room; one that expires loses what is too old.
        may_shrink = expires or bool(found.options.get("capped"))
        if there != facts["documents"] and not (may_shrink and there < facts["documents"]):
            wrong.append(f"{full} has {there} documents, and {facts['documents']} were loaded")
        expired += facts["documents"] - there if may_shrink else 0
        if indexes < facts["indexes"] and not indexes_come_later:
            wrong.append(f"{full} has {indexes} of {facts['indexes']} indexes")
    if wrong:
        raise _incomplete(wrong)
    return {
        "staged": {
            database: {name: one.uuid for name, one in found.items()} for database, found in sorted(staged.items())
        },
        "documents": documents,
        "expired": expired,
    }


def arrived(client: Client, made: t.Mapping[str, str | None], *, names: RestoreNames) -> dict[str, t.Any]:
    """What is there after a replay: ``staged`` (UUIDs by database and name), ``made`` (those that are left of what was
    *made* under its own name), ``collections`` (documents by ``database.name``) and ``documents`` of all together.
    """
    staged = staged_collections(client, names)
    counts: dict[str, int] = {}
    left: dict[str, str | None] = {}
    for database, found in sorted(staged.items()):
        counts.update({f"{database}.{name}": count(client, one) for name, one in sorted(found.items())})
    for full, uuid in made.items():
        database, _dot, name = full.partition(".")
        one = existing_in(client, database).get(name)
        if one is not None and one.uuid is not None and one.uuid == uuid:
            left[full] = uuid
            counts[full] = count(client, one)
    return {
        "staged": {
            database: {name: one.uuid for name, one in found.items()} for database, found in sorted(staged.items())
        },
        "made": left,
        "collections": counts,
        "documents": sum(counts.values()),
    }


def _against_manifest(
    collections: t.Mapping[str, t.Mapping[str, t.Any]],
    *,
    views: t.Collection[str],
    noted: NotedContent,
    options: MongoRestoreOptions,
) -> list[str]:
    loaded = {facts["source"]: facts["documents"] for facts in collections.values()}
    wrong: list[str] = []
    for (database, name), entry in wanted_of(noted, options).items():
        full = f"{database}.{name}"
        if full in views:
            continue
        if full not in loaded:
            wrong.append(f"{full} is in the manifest and not in the archive")
        elif None not in (loaded[full], entry.documents) and loaded[full] != entry.documents:
            wrong.append(f"{full}: {loaded[full]} documents were loaded, and the manifest says {entry.documents}")
    return wrong


def _indexes(client: Client, one: Existing) -> tuple[int, bool]:
    """How many indexes there are beside those that come by themselves, and whether one removes documents by age."""
    if "timeseries" in one.options:
        # The server gives it one of its own, which the archive has or has not; so its indexes are not counted.
        return sys.maxsize, "expireAfterSeconds" in one.options
    with named_faults(f"Reading the indexes of {one.full_name}", role="readAnyDatabase"):
        listed = list(on_primary(client, one.database)[one.name].list_indexes())
    own = [index for index in listed if index["name"] != "_id_" and not index.get("clustered")]
    expires = "expireAfterSeconds" in one.options or any("expireAfterSeconds" in index for index in listed)
    return len(own), expires


def _incomplete(wrong: t.Sequence[str]) -> RestoreIncomplete:
    shown = "; ".join(wrong[:_SHOWN]) + (f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else "")
    return RestoreIncomplete(
        f"What was loaded is not what the backup holds: {shown}.",
        hint="Restore another copy (--repository NAME) or another backup: lifeboat list shows them.",
        details={"wrong": list(wrong[:100])},
    )
