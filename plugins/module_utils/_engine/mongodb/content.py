# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dump's manifest says about its content, in JSON values. Pure."""

from __future__ import annotations

import hashlib
import typing as t

from . import consistency
from .facts import ServerFacts
from .namespaces import Namespace
from .native_dump import DumpResult
from .options import MONGODUMP, NATIVE, MongoDumpOptions
from .timestamps import Position, as_json


def native_content(
    *, facts: ServerFacts, options: MongoDumpOptions, choice: consistency.Choice, result: DumpResult, version: str
) -> dict[str, t.Any]:
    """The content of a native dump: counts and bytes are those of what was written."""
    how: dict[str, t.Any] = {"mode": choice.mode, "reason": choice.reason}
    if result.cluster_time is not None:
        how["cluster_time"] = as_json(result.cluster_time)
        how["outside_snapshot"] = list(result.outside_snapshot)
        how["came_later"] = list(result.came_later)
    if result.captured is not None:
        how["oplog"] = result.captured.as_dict()
    databases: dict[str, dict[str, t.Any]] = {}
    for one in result.collections:
        databases.setdefault(one.namespace.database, {})[one.namespace.name] = {
            "documents": one.documents,
            "bytes": one.size,
            "uuid": one.namespace.uuid,
            "type": one.namespace.type,
            "crc64": f"{one.checksum:016x}",
            "indexes": [str(index["name"]) for index in one.namespace.indexes],
            "metadata_sha256": metadata_sha256(one.metadata),
        }
    return {**_common(facts, options, tool=NATIVE, version=version), "consistency": how, "databases": databases}


def metadata_sha256(metadata: str) -> str:
    """What a manifest notes of a collection's options and indexes: no checksum inside the archive covers them."""
    return hashlib.sha256(metadata.encode("utf-8")).hexdigest()


def vendor_content(
    *,
    facts: ServerFacts,
    options: MongoDumpOptions,
    choice: consistency.Choice,
    namespaces: t.Sequence[Namespace],
    counts: t.Mapping[str, int],
    version: str,
    before: Position | None,
    after: Position | None,
) -> dict[str, t.Any]:
    """The content of mongodump's dump: counts are those that it printed; it does not tell bytes or positions.

    *before* and *after* are the server's last writes around it: an oplog in the archive lies between them.
    """
    how: dict[str, t.Any] = {"mode": choice.mode, "reason": choice.reason}
    if before is not None and after is not None:
        how["not_before"], how["not_after"] = as_json(before), as_json(after)
    databases: dict[str, dict[str, t.Any]] = {}
    for one in namespaces:
        databases.setdefault(one.database, {})[one.name] = {
            "documents": counts.get(f"{one.database}.{one.source_name}", counts.get(one.full_name)),
            "bytes": None,
            "uuid": one.uuid,
            "type": one.type,
        }
    return {**_common(facts, options, tool=MONGODUMP, version=version), "consistency": how, "databases": databases}


def with_hashes(content: t.Mapping[str, t.Any], hashes: t.Mapping[tuple[str, str], str]) -> dict[str, t.Any]:
    """The content with the server's hash (``dbhash``, MD5 in hexadecimal) of each collection that has one."""
    databases = {
        database: {
            name: {**entry, "dbhash": hashes[database, name]} if (database, name) in hashes else entry
            for name, entry in entries.items()
        }
        for database, entries in content["databases"].items()
    }
    return {**content, "databases": databases}


def _common(facts: ServerFacts, options: MongoDumpOptions, *, tool: str, version: str) -> dict[str, t.Any]:
    return {
        "replica_set": facts.replica_set,
        "replica_set_id": facts.replica_set_id,
        "server": facts.host,
        "server_role": "primary" if facts.is_primary else "secondary",
        "server_version": facts.version,
        "feature_compatibility_version": facts.feature_compatibility,
        "tool": {"name": tool, "version": version or None},
        "database": options.scope.database,
        "users_and_roles": options.scope.users_and_roles,
        # Whoever replays an oplog onto it must leave the same out.
        "include": list(options.scope.include),
        "exclude": list(options.scope.exclude),
    }
