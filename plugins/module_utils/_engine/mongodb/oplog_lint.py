# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which oplog entries can't be replayed: found at capture, when another backup can still be made.

A dump's own oplog must suit mongorestore: the rules of :func:`objection` are those of mongodump --oplog and of
mongorestore --oplogReplay (mongo-tools: mongodump/oplog_dump.go, mongorestore/oplog.go); the latter stops at any
command that it does not know. Slices are replayed by :mod:`oplog_replay` alone, and :func:`stream_objection` has its
rules: a collection that is renamed, the first view of a database, a changed user are no obstacle to it.
"""

from __future__ import annotations

import typing as t

from . import bson_bytes
from .oplog_commands import REPLAYED_COMMANDS
from .oplog_entry import OplogEntry

_REPLAYED = frozenset(
    (
        "applyOps",
        "dropDatabase",
        "create",
        "drop",
        "createIndexes",
        "deleteIndex",
        "deleteIndexes",
        "dropIndex",
        "dropIndexes",
        "collMod",
        "dbCheck",
        "startIndexBuild",
        "commitIndexBuild",
        "abortIndexBuild",
        "commitTransaction",
        "abortTransaction",
        "setMultikeyMetadata",
        "dropIdent",
    )
)
_REFUSED: t.Mapping[str, str] = {
    "renameCollection": "a collection was renamed",
    "importCollection": "a collection was imported",
    "convertToCapped": "a collection was made capped",
    "emptycapped": "a capped collection was emptied",
    "upgradeDowngradeViewlessTimeseries": "a time series changed its form",
}
_RESHARDING = frozenset(
    ("reshardingOperations", "localReshardingOperations.donor", "localReshardingOperations.recipient")
)
_USERS_AND_ROLES = frozenset(("admin.system.users", "admin.system.roles"))
_TRANSACTIONS = frozenset(("applyOps", "commitTransaction", "abortTransaction"))
# What no replay ever takes: every server has its own.
_SERVERS_OWN = frozenset(("config", "local"))
_PARTS_OF_A_CHANGE = frozenset((b"u", b"i", b"d"))

FEATURE_COMPATIBILITY = "feature-compatibility"
NOT_REPLAYABLE = "not-replayable"


def entry_time(entry: bytes) -> tuple[int, int]:
    """The position (seconds, ordinal) of an oplog entry. Raises MalformedBson."""
    element = bson_bytes.find(entry, b"ts")
    if element is None:
        raise bson_bytes.MalformedBson("an oplog entry has no ts")
    return bson_bytes.timestamp(entry, element)


def objection(entry: bytes, *, users_and_roles: bool, databases_with_views: t.Collection[str]) -> str | None:
    """Why an entry can't be replayed, None when it can.

    Without *users_and_roles* in the dump, a change of them can't be replayed onto it. The first view of a database that
    is not in *databases_with_views* can't be, either: its system.views does not exist at that moment (TOOLS-4426).
    Raises MalformedBson.
    """
    kind = namespace = ""
    inner: bson_bytes.Element | None = None
    for element in bson_bytes.elements(entry):
        if element.key == b"op":
            kind = bson_bytes.text(entry, element)
        elif element.key == b"ns":
            namespace = bson_bytes.text(entry, element)
        elif element.key == b"o":
            inner = element
    if kind == "n" or inner is None or inner.type != bson_bytes.DOCUMENT:
        return None
    found = _about_namespace(
        namespace, kind=kind, users_and_roles=users_and_roles, databases_with_views=databases_with_views
    )
    if found is not None or kind != "c":
        return found
    return _about_command(
        entry,
        inner,
        namespace=namespace,
        users_and_roles=users_and_roles,
        databases_with_views=databases_with_views,
    )


def _about_namespace(
    namespace: str, *, kind: str, users_and_roles: bool, databases_with_views: t.Collection[str]
) -> str | None:
    if namespace == "admin.system.version":
        return "the feature compatibility version or the authentication schema was changed"
    if namespace in _USERS_AND_ROLES and not users_and_roles:
        return "a user or role was changed, but the dump has none of them"
    database, _dot, name = namespace.partition(".")
    if name == "system.views" and kind == "i" and database not in databases_with_views:
        return f"the first view of the database {database} was made"
    return None


def _about_command(
    entry: bytes,
    inner: bson_bytes.Element,
    *,
    namespace: str,
    users_and_roles: bool,
    databases_with_views: t.Collection[str],
) -> str | None:
    first = next(bson_bytes.elements(entry, inner.start, inner.end), None)
    if first is None:
        return None
    name = first.key.decode("utf-8", "replace")
    if name in _REFUSED:
        return _REFUSED[name]
    if name == "create" and namespace.startswith("config.") and first.type == bson_bytes.STRING:
        return "a collection is being resharded" if bson_bytes.text(entry, first) in _RESHARDING else None
    if name not in _REPLAYED:
        return None if namespace.startswith("config.") else f"the command {name} was run"
    if name == "applyOps" and first.type == bson_bytes.ARRAY:
        for operation in bson_bytes.elements(entry, first.start, first.end):
            found = objection(
                bytes(entry[operation.start : operation.end]),
                users_and_roles=users_and_roles,
                databases_with_views=databases_with_views,
            )
            if found is not None:
                return found
    return None


def stream_objection(entry: OplogEntry) -> tuple[str, str] | None:
    """The cause and the reason why nothing behind an entry can be replayed onto what is older, None when it can.

    As strict and as permissive as our own replay, but for one: after a change of the feature compatibility version the
    entries are meant for data in another form. Raises MalformedBson.
    """
    if entry.kind == "c":
        return _about_streamed_command(entry)
    if entry.kind not in ("i", "u", "d"):
        return None
    if entry.name == "system.version" and entry.database == "admin":
        if _document_key(entry) == "featureCompatibilityVersion":
            return FEATURE_COMPATIBILITY, "the feature compatibility version was changed"
    elif entry.name == "system.views" and entry.kind == "u" and not _tells_the_view(entry):
        return NOT_REPLAYABLE, f"a view of the database {entry.database} was changed in a way that nobody can replay"
    return None


def _about_streamed_command(entry: OplogEntry) -> tuple[str, str] | None:
    name = entry.command
    if name == "applyOps":
        for operation in entry.operations():
            found = stream_objection(operation)
            if found is not None:
                return found
        return None
    if not name or entry.database in _SERVERS_OWN or name in REPLAYED_COMMANDS or name in _TRANSACTIONS:
        return None
    return NOT_REPLAYABLE, _REFUSED.get(name, f"the command {name} was run")


def _document_key(entry: OplogEntry) -> str | None:
    """The _id of the document that an entry concerns, where that is a text."""
    body = entry.field(b"o2") if entry.kind == "u" else entry.body
    if body is None or body.type != bson_bytes.DOCUMENT:
        return None
    key = bson_bytes.find(entry.raw, b"_id", position=body.start, end=body.end)
    return bson_bytes.text(entry.raw, key) if key is not None and key.type == bson_bytes.STRING else None


def _tells_the_view(entry: OplogEntry) -> bool:
    """Whether an update of a view says what it is now, as a whole or by what changed of its fields."""
    if entry.body_field(b"viewOn") is not None:
        return True
    change = entry.body_field(b"diff")
    if change is None or change.type != bson_bytes.DOCUMENT:
        return False
    parts = {part.key for part in bson_bytes.elements(entry.raw, change.start, change.end)}
    return parts <= _PARTS_OF_A_CHANGE
