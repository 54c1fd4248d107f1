# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a backup and a target fit together, looked at before anything is changed. Changes nothing."""

from __future__ import annotations

import typing as t

from ..core.errors import (
    MongoNotAuthorised,
    MongoTooNew,
    RestoreTargetInvalid,
    RestoreVersionMismatch,
)
from .archive_reader import stores_time_series_directly
from .collection_metadata import read_metadata
from .facts import version_numbers
from .namespaces import TIME_SERIES
from .noted_content import NotedContent
from .restore_direct import in_the_way
from .restore_names import RestoreNames
from .restore_options import ASIDE, NATIVE, MongoRestoreOptions
from .restore_selection import DIRECT, STAGED, RestoreSelection
from .restore_target import Existing, TargetFacts, existing_in, may_read_people, missing_actions

if t.TYPE_CHECKING:
    from .connection import Client

# Bytes of "database.collection": https://www.mongodb.com/docs/manual/reference/limits/#namespaces
_LONGEST_NAME, _LONGEST_OLD_NAME = 255, 120
# Where a collection of the backup stands before it takes its name, and what else the steps do.
_ACTIONS = (
    "bypassDocumentValidation", "collMod", "createCollection", "createIndex", "dropCollection", "find", "insert",
    "listCollections", "listIndexes", "renameCollectionSameDB",
)  # fmt: skip
_REPLAY_ACTIONS = ("convertToCapped", "remove", "update")
_SHOWN = 10


def require_version(noted: NotedContent, facts: TargetFacts) -> list[str]:
    """Raise RestoreVersionMismatch for a target older than the backup; warnings about a much later one."""
    wanted = version_numbers(noted.feature_compatibility or "") or version_numbers(noted.server_version)[:2]
    has = version_numbers(facts.feature_compatibility or "") or facts.version_numbers[:2]
    if has[: len(wanted)] < wanted:
        dotted, own = ".".join(map(str, wanted)), ".".join(map(str, has))
        if facts.version_numbers[: len(wanted)] >= wanted:
            hint = f'In mongosh: db.adminCommand({{setFeatureCompatibilityVersion: "{dotted}"}})'
        else:
            hint = f"Restore into a server of MongoDB {dotted} or later."
        raise RestoreVersionMismatch(
            f"The backup's data is that of MongoDB {dotted}, and {facts.host} is MongoDB {facts.version} with the "
            f"feature compatibility version {own}: it does not know all of it.",
            hint=hint,
            details={"backup": dotted, "target": own},
        )
    if has[0] > wanted[0] + 1:
        later = f"The backup is of MongoDB {noted.server_version} and the target {facts.version}"
        return [f"{later}: options and indexes that were dropped in between would be refused."]
    return []


def require_loadable(selection: RestoreSelection, facts: TargetFacts, options: MongoRestoreOptions) -> None:
    """Raise MongoTooNew and RestoreTargetInvalid for what the chosen tool can't do with this archive."""
    series = [item.full_name for item in selection.items if item.source.type == TIME_SERIES]
    if options.tool == NATIVE:
        if series and stores_time_series_directly(facts.version):
            raise MongoTooNew(
                f"MongoDB {facts.version} stores time series ({series[0]}) in a way that the native restore does not "
                "know.",
                hint="Use tool: mongorestore (100.16.0 or later), or name the other collections.",
                details={"collections": series},
            )
        return
    if selection.has_oplog:
        raise RestoreTargetInvalid(
            "The backup's collections are brought to one moment by its oplog, and mongorestore replays none into "
            "collections of other names: nothing could be loaded beside what is there.",
            hint="Use tool: native.",
        )


def require_names(selection: RestoreSelection, names: RestoreNames, facts: TargetFacts) -> None:
    """Raise RestoreTargetInvalid for collections whose name leaves no room for a prefix."""
    most = _LONGEST_NAME if facts.version_numbers >= (4, 4) else _LONGEST_OLD_NAME
    prefix = max((names.staging, names.before, names.between), key=len)
    for item in selection.of(STAGED):
        if len(f"{item.database}.{prefix}{item.name}".encode()) > most:
            raise RestoreTargetInvalid(
                f"The name {item.full_name} is so long that the collection can't be set aside under a longer one "
                f"(MongoDB {facts.version} takes {most} bytes).",
                hint="Restore it into a database with a shorter name (rename).",
                details={"collection": item.full_name},
            )


def require_rights(
    client: Client, selection: RestoreSelection, options: MongoRestoreOptions, *, replays: bool = False
) -> None:
    """Raise MongoNotAuthorised when a step would be refused; *replays*: an oplog is replayed behind the backup."""
    if options.users_and_roles and selection.people and not may_read_people(client):
        raise MongoNotAuthorised(
            "The user may not read the users and roles of the target, of which a copy is kept.",
            hint='In mongosh, as administrator: db.getSiblingDB("admin").grantRolesToUser("NAME", ["backup"])',
        )
    wanted = (*_ACTIONS, *_REPLAY_ACTIONS) if replays else _ACTIONS
    missing = missing_actions(client, selection.databases, wanted=wanted)
    if missing:
        database, actions = next(iter(missing.items()))
        raise MongoNotAuthorised(
            f"The user may not do all that a restore into {database} needs ({', '.join(actions)}).",
            hint='In mongosh, as administrator: db.getSiblingDB("admin").grantRolesToUser("NAME", ["restore", '
            '"readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor"])',
            details={"missing": missing},
        )


def in_the_way_of(
    client: Client, selection: RestoreSelection, options: MongoRestoreOptions, names: RestoreNames
) -> tuple[list[Existing], list[Existing]]:
    """What has the names of what is restored, and what else the databases hold.

    Raises RestoreTargetInvalid when there is something of these names and it can't or mustn't step aside.
    """
    holders: list[Existing] = []
    others: list[Existing] = []
    for database in selection.databases:
        there = existing_in(client, database)
        items = {item.name: item for item in selection.items if item.database == database}
        for name, found in there.items():
            item = items.get(name)
            if item is None and (database, name) not in selection.later:
                if not names.is_own(name):
                    others.append(found)
                continue
            if options.in_place and item is not None and item.way == DIRECT:
                raise in_the_way(found, read_metadata(item.source).options)
            if options.in_place and not _can_step_aside(found):
                raise RestoreTargetInvalid(
                    f"{found.full_name} on the target is a time series or an encrypted collection, which MongoDB can't "
                    "rename: it can't be moved aside.",
                    hint="Restore under another database's name (rename or suffix), and exchange it by hand.",
                    details={"collection": found.full_name},
                )
            holders.append(found)
    if holders and not options.in_place:
        raise _exists(holders)
    return holders, others


def that_step_aside(
    others: t.Sequence[Existing], options: MongoRestoreOptions
) -> tuple[list[Existing], list[Existing]]:
    """Of what the backup does not have: what is moved aside on request, and what stays."""
    if options.others != ASIDE:
        return [], list(others)
    return [one for one in others if _can_step_aside(one)], [one for one in others if not _can_step_aside(one)]


def _can_step_aside(found: Existing) -> bool:
    return found.can_be_renamed or found.type == "view"


def _exists(holders: t.Sequence[Existing]) -> RestoreTargetInvalid:
    shown = ", ".join(one.full_name for one in holders[:_SHOWN])
    more = f" and {len(holders) - _SHOWN} more" if len(holders) > _SHOWN else ""
    return RestoreTargetInvalid(
        f"The target has {shown}{more} already.",
        hint="Restore beside, under another name: suffix: _recovery, or rename: {DATABASE: NEW_NAME}. Or replace what "
        "is there, which moves it aside: in_place: true.",
        details={"collections": [one.full_name for one in holders[:1000]]},
    )
