# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifest of a backup notes about its content, as values: what restores and verifications are held to."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..catalog.manifest import Manifest
from ..core.errors import ManifestInvalid
from .info import Keyspace


@dataclass(frozen=True)
class NotedFile:
    """One append-only file of the set: its *path* in the tar, *length* in bytes and what was counted in it."""

    path: str
    length: int
    commands: int | None
    torn: int | None
    crc64: str | None
    rdb_magic: str | None
    rdb_version: int | None


@dataclass(frozen=True)
class Noted:
    """*exact* says that *keyspace* was counted at the very moment of the backup. Sizes in bytes."""

    flavour: str
    version: tuple[int, ...]
    modules: tuple[str, ...]
    keyspace: Keyspace
    exact: bool
    used_memory: int
    cluster_node: bool
    size: int  # of the plain data, without a tar's padding
    rdb_magic: str | None = None
    rdb_version: int | None = None
    crc64: str | None = None
    snapshot_time: str | None = None
    files: tuple[NotedFile, ...] = field(default_factory=tuple)
    manifest_path: str | None = None  # of the append-only files; None for the single file before Redis 7.0
    digest: str | None = None  # the source's own, where it was asked for and nothing changed meanwhile

    @property
    def keys(self) -> int:
        """Keys in all databases."""
        return sum(counts["keys"] for counts in self.keyspace.values())

    @property
    def expires(self) -> int:
        """Keys in all databases that expire some time."""
        return sum(counts["expires"] for counts in self.keyspace.values())

    @property
    def databases(self) -> int:
        """How many databases (``databases``) a server must have to hold the backup."""
        return 1 + max((int(name[2:]) for name in self.keyspace), default=0)

    @property
    def server(self) -> str:
        """Who wrote it: "Redis 7.0.15"."""
        return f"{self.flavour.capitalize()} {'.'.join(str(part) for part in self.version)}"


def noted_in(manifest: Manifest) -> Noted:
    """What *manifest* says. Raises ManifestInvalid when its content is none of a Redis backup's."""
    content = manifest.content
    try:
        files = tuple(_file(entry) for entry in content.get("files") or ())
        version = tuple(int(part) for part in str(content.get("version", "")).split(".") if part.isdigit())
        base = files[0] if files else None
        plain = manifest.plain_bytes
        size = content.get("rdb_size") or sum(file.length for file in files) or plain or manifest.stored_bytes
        return Noted(
            flavour=str(content.get("flavour") or "redis"),
            version=version,
            modules=tuple(str(module) for module in content.get("modules") or ()),
            keyspace=_keyspace(content.get("keyspace") or {}),
            exact=content.get("keyspace_exact") is True,
            used_memory=int(content.get("used_memory") or 0),
            cluster_node=content.get("cluster_node") is True,
            size=int(size),
            rdb_magic=content.get("rdb_magic") or (base.rdb_magic if base else None),
            rdb_version=content.get("rdb_version") or (base.rdb_version if base else None),
            crc64=content.get("crc64"),
            snapshot_time=content.get("snapshot_time"),
            files=files,
            manifest_path=content.get("manifest"),
            digest=None if content.get("digest") is None else str(content["digest"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ManifestInvalid(
            f"The manifest of {manifest.backup_id} does not describe a Redis backup: {error!r}.",
            hint="Restore another backup: lifeboat list shows them.",
            details={"backup": manifest.backup_id},
        ) from error


def _keyspace(found: t.Mapping[str, t.Any]) -> dict[str, dict[str, int]]:
    for name in found:
        if not name.startswith("db") or not name[2:].isdigit():
            raise ValueError(f"{name!r} is no database")
    return {
        name: {"keys": int(counts["keys"]), "expires": int(counts.get("expires", 0))} for name, counts in found.items()
    }


def _file(entry: t.Mapping[str, t.Any]) -> NotedFile:
    rdb = entry.get("rdb") or {}
    return NotedFile(
        path=str(entry["name"]),
        length=int(entry["length"]),
        commands=entry.get("commands"),
        torn=entry.get("torn_bytes"),
        crc64=rdb.get("crc64"),
        rdb_magic=rdb.get("magic"),
        rdb_version=rdb.get("rdb_version"),
    )
