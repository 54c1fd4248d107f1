# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifest says about a Redis backup, in JSON values."""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import format_time
from .aof_check import AofFacts
from .aof_set import AofSet
from .facts import ServerFacts
from .info import Keyspace
from .rdb import RdbFacts


def rdb_content(
    facts: ServerFacts,
    *,
    rdb: RdbFacts,
    keyspace: Keyspace,
    exact: bool,
    method: str,
    warnings: t.Sequence[str],
) -> dict[str, t.Any]:
    """*exact* says that *keyspace* was counted at the very moment of the snapshot; else it is from just after it.

    The first database's counts stand in the RDB itself and are exact in any case.
    """
    counts = {name: dict(found) for name, found in keyspace.items()}
    first = rdb.head.first_database
    if first is not None:
        counts[f"db{first['index']}"] = {"keys": first["keys"], "expires": first["expires"]}
    return {
        **_server(facts, warnings=warnings),
        "method": method,
        "rdb_version": rdb.head.version,
        "rdb_magic": rdb.head.magic,
        "rdb_size": rdb.size,
        "crc64": rdb.crc64,
        "snapshot_time": _time(rdb.head.created),
        "auxiliary": dict(rdb.head.auxiliary),
        "keyspace": counts,
        "keyspace_exact": exact or (first is not None and len(counts) == 1),
    }


def aof_content(
    facts: ServerFacts,
    *,
    files: AofSet,
    checked: t.Mapping[str, AofFacts],
    keyspace: Keyspace,
    warnings: t.Sequence[str],
) -> dict[str, t.Any]:
    """*keyspace* was counted just after the lengths were noted, so it may include a few later writes."""
    settings = facts.settings or {}
    return {
        **_server(facts, warnings=warnings),
        "method": "aof",
        "files": [
            {"name": _printable(file.name), "kind": file.kind, "length": file.length, **checked[file.name].as_dict()}
            for file in files.files
        ],
        "manifest": None if files.manifest_name is None else _printable(files.manifest_name),
        "timestamps": settings.get("aof-timestamp-enabled") == "yes",
        "rdb_preamble": settings.get("aof-use-rdb-preamble") == "yes",
        "appendfsync": settings.get("appendfsync"),
        "keyspace": {name: dict(found) for name, found in keyspace.items()},
        "keyspace_exact": False,
    }


def _server(facts: ServerFacts, *, warnings: t.Sequence[str]) -> dict[str, t.Any]:
    return {
        "flavour": facts.flavour,
        "version": facts.version,
        "run_id": facts.run_id,
        "role": facts.role,
        "cluster_node": facts.cluster,
        "modules": list(facts.modules),
        "append_only": facts.append_only,
        "used_memory": facts.used_memory,
        "last_save": _time(facts.last_save or None),
        "warnings": list(warnings),
    }


def _time(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return format_time(datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc))


def _printable(name: str) -> str:
    """A file name whose bytes are not UTF-8 as text that JSON can carry: the bytes show as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
