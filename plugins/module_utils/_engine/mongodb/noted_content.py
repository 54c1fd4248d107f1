# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manifest noted about a dump, read back: manifests of every age, and of whoever could write one. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.manifest import Manifest
from ..core.errors import ManifestInvalid
from . import consistency
from .namespace_map import literal
from .options import NATIVE
from .timestamps import Position


@dataclass(frozen=True)
class NotedCollection:
    """What was noted of one collection; None (of *indexes*, too) where it was not: mongodump's dumps, early ones."""

    documents: int | None
    crc64: int | None
    indexes: tuple[str, ...] | None
    metadata_sha256: str | None
    size: int | None = None  # bytes
    dbhash: str | None = None  # MD5 by the server


@dataclass(frozen=True)
class NotedContent:
    """What was noted of a dump. *collections* has (database, name); *oplog* is the first and the last position of the
    oplog in the archive and the count of its entries, *window* what mongodump's last position must lie within.
    *include* and *exclude* are the shell patterns (``database.collection``) that said what to dump; empty where that
    was everything, or was not noted.
    """

    tool: str
    database: str | None
    users_and_roles: bool
    mode: str
    server_version: str
    feature_compatibility: str | None
    collections: t.Mapping[tuple[str, str], NotedCollection]
    oplog: tuple[Position, Position, int] | None
    window: tuple[Position, Position] | None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def is_native(self) -> bool:
        """Whether Lifeboat itself read the collections: it noted exactly what it wrote."""
        return self.tool == NATIVE

    @property
    def databases(self) -> tuple[str, ...]:
        """The databases with a collection, in order."""
        return tuple(sorted({database for database, _name in self.collections}))


def noted_content(manifest: Manifest) -> NotedContent:
    """The content of a manifest of this room. Raises ManifestInvalid when it is no such content."""
    content = manifest.content
    try:
        how = content["consistency"]
        return NotedContent(
            tool=_text(content["tool"]["name"]),
            database=content["database"] if content.get("database") is None else _text(content["database"]),
            users_and_roles=bool(content.get("users_and_roles", False)),
            mode=_text(how["mode"]),
            server_version=_text(content["server_version"]),
            feature_compatibility=content.get("feature_compatibility_version"),
            collections={
                (_text(database), _text(name)): _collection(entry)
                for database, entries in content["databases"].items()
                for name, entry in entries.items()
            },
            oplog=(_position(how["oplog"]["start"]), _position(how["oplog"]["end"]), int(how["oplog"]["entries"]))
            if how["mode"] == consistency.OPLOG and how.get("oplog")
            else None,
            window=(_position(how["not_before"]), _position(how["not_after"])) if how.get("not_before") else None,
            include=_patterns(content, "include"),
            exclude=_patterns(content, "exclude"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestInvalid(
            f"The manifest of {manifest.backup_id} does not describe a MongoDB dump ({type(error).__name__}: {error}).",
            hint="Look at the copy in another repository of the job; lifeboat list shows which have one.",
            details={"key": manifest.folder.manifest_key},
        ) from error


def _collection(entry: t.Mapping[str, t.Any]) -> NotedCollection:
    documents, crc64, indexes = entry.get("documents"), entry.get("crc64"), entry.get("indexes")
    size = entry.get("bytes")
    return NotedCollection(
        documents=None if documents is None else int(documents),
        crc64=None if crc64 is None else int(crc64, 16),
        indexes=None if indexes is None else tuple(_text(name) for name in indexes),
        metadata_sha256=entry.get("metadata_sha256"),
        size=None if size is None else int(size),
        dbhash=None if entry.get("dbhash") is None else _text(entry["dbhash"]),
    )


def _patterns(content: t.Mapping[str, t.Any], key: str) -> tuple[str, ...]:
    """Of one database the patterns are noted without its name."""
    database = content.get("database")
    prefix = "" if database is None else f"{literal(_text(database))}."
    return tuple(prefix + _text(pattern) for pattern in content.get(key, ()))


def _position(moment: t.Mapping[str, t.Any]) -> Position:
    return int(moment["t"]), int(moment["i"])


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
