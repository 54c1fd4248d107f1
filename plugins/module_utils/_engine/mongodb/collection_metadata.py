# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata of a collection in an archive, read back: options, indexes and UUID."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import MongoArchiveInvalid
from .archive import ArchiveCollection
from .namespaces import TIME_SERIES, VIEW

# Options that listCollections shows and today's create command does not take, or only from the server itself.
NOT_FOR_CREATE = frozenset(("autoIndexId", "idIndex", "recordIdsReplicated", "uuid"))


@dataclass(frozen=True)
class CollectionMetadata:
    """What mongodump noted about a collection: *options* are those of create, *indexes* without that on _id."""

    options: t.Mapping[str, t.Any] = field(default_factory=dict)
    indexes: tuple[t.Mapping[str, t.Any], ...] = ()
    uuid: bytes | None = None

    @property
    def is_capped(self) -> bool:
        """Whether the order of its documents is that of their insertion, which must be kept."""
        return bool(self.options.get("capped", False))


def read_metadata(collection: ArchiveCollection) -> CollectionMetadata:
    """Parse the canonical extended JSON of one collection of the prelude. Raises MongoArchiveInvalid."""
    from bson import json_util
    from bson.errors import BSONError

    if not collection.metadata:
        return CollectionMetadata()
    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False, document_class=dict)
    try:
        document = json_util.loads(collection.metadata, json_options=options)
        return _metadata(document, kind=collection.type)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, BSONError) as error:
        raise MongoArchiveInvalid(
            f"The archive's metadata of {collection.database}.{collection.name} can't be read: {error}.",
            hint="Take another copy of this backup, or another backup; this one can't be restored whole.",
            details={"collection": f"{collection.database}.{collection.name}"},
        ) from error


def _metadata(document: t.Any, *, kind: str) -> CollectionMetadata:
    if not isinstance(document, dict):
        raise TypeError("it is no object")
    options, indexes = document.get("options") or {}, document.get("indexes") or []
    if not isinstance(options, dict) or not isinstance(indexes, list):
        raise TypeError("options or indexes are of another type")
    for index in indexes:
        if not isinstance(index, dict) or not isinstance(index.get("key"), dict) or not index.get("name"):
            raise ValueError("an index has no key or no name")
    uuid = document.get("uuid")
    return CollectionMetadata(
        options={name: value for name, value in options.items() if name not in NOT_FOR_CREATE},
        indexes=() if kind == VIEW else tuple(_index(index) for index in indexes if not _comes_by_itself(index)),
        uuid=bytes.fromhex(uuid) if isinstance(uuid, str) and uuid and kind != TIME_SERIES else None,
    )


def _comes_by_itself(index: t.Mapping[str, t.Any]) -> bool:
    """Whether the collection has the index from its creation: that on _id, and that of a clustered collection."""
    return bool(index.get("clustered", False)) or (index["name"] == "_id_" and list(index["key"]) == ["_id"])


def _index(index: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The specification for createIndexes: in today's version of the format, and for whatever name it now has."""
    return {name: value for name, value in index.items() if name not in ("v", "ns", "background")}
