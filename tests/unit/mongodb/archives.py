# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives made for tests."""

from __future__ import annotations

import io
import typing as t

import bson

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive import (
    ArchiveCollection,
    ArchiveWriter,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_comparison import index_names
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_listing import list_archive
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.content import metadata_sha256


def collection(name: str, *, database: str = "shop", type_name: str = "collection") -> ArchiveCollection:
    data_name = f"system.buckets.{name}" if type_name == "timeseries" else name
    return ArchiveCollection(
        database=database, name=name, data_name=data_name, metadata='{"indexes":[]}', type=type_name
    )


def archive(contents: t.Mapping[ArchiveCollection, t.Sequence[bytes]]) -> bytes:
    """A whole archive; each collection's pieces are interleaved with those of the others."""
    output = io.BytesIO()
    writer = ArchiveWriter(output)
    writer.prelude(
        collections=list(contents), concurrent_collections=4, server_version="6.0.5", tool_version="100.10.0"
    )
    for number in range(max((len(pieces) for pieces in contents.values()), default=0)):
        for one, pieces in contents.items():
            if number < len(pieces):
                writer.documents(one, pieces[number])
    for one in contents:
        writer.end(one)
    return output.getvalue()


def small_archive() -> bytes:
    return archive(
        {
            collection("orders"): [bson.encode({"_id": 1}) + bson.encode({"_id": 2}), bson.encode({"_id": 3})],
            collection("users"): [bson.encode({"_id": "a", "name": "x" * 50})],
            collection("recent", type_name="view"): [],
            collection("weather", type_name="timeseries"): [bson.encode({"_id": 1, "control": {}})],
        }
    )


def content_of(data: bytes, **changes: t.Any) -> dict[str, t.Any]:
    """The content that the manifest of a native dump has when this is its archive."""
    listed = list_archive(io.BytesIO(data))
    databases: dict[str, dict[str, t.Any]] = {}
    for (database, name), one in listed.collections.items():
        end = listed.end(one)
        databases.setdefault(database, {})[name] = {
            "documents": end.count,
            "bytes": end.size,
            "uuid": None,
            "type": one.type,
            "crc64": f"{end.checksum:016x}",
            "indexes": list(index_names(one.metadata)),
            "metadata_sha256": metadata_sha256(one.metadata),
        }
    return {
        "server_version": listed.prelude.server_version,
        "feature_compatibility_version": "6.0",
        "tool": {"name": "native", "version": "0.1.0"},
        "database": None,
        "users_and_roles": False,
        "consistency": {"mode": "snapshot", "reason": "it could be had"},
        "databases": databases,
        **changes,
    }
