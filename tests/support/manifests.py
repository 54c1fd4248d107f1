# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups as values and in repositories, for tests of what reads them."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import (
    Manifest,
    document_checksum,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageUnreachable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import backup_id_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.clocks import START

BACKUP_ID = "20261121T020000Z-4f2c91"
FULL = Series(service="family", source="main", kind="full")
DATA: t.Mapping[str, bytes] = {"dump.archive.zst": b"the stored bytes of a dump", "users.json": b"{}"}


def manifest(**changes: t.Any) -> Manifest:
    """A whole manifest of family/main/full with the payloads of DATA; *changes* replace fields of it."""
    backup_id = changes.get("backup_id", BACKUP_ID)
    started = backup_id_time(backup_id) if "backup_id" in changes else START
    plain = Manifest(
        backup_id=backup_id,
        service="family",
        source="main",
        engine="mongodb",
        kind="full",
        started=started,
        finished=started + datetime.timedelta(seconds=61, microseconds=250000),
        host="db1.example.org",
        lifeboat_version="0.1.0",
        repositories=("local", "offsite"),
        compression={"method": "zstd", "level": 1},
        encryption=None,
        payloads=tuple(payload(name, data) for name, data in DATA.items()),
        facts={"version": "6.0.5", "sizes": [1, 2.5, None, True]},
        content={"databases": {"família": {"count": 12}}},
        stages={"starting": 0.25, "dumping": 61.0},
        warnings=("the oplog is short",),
        labels={"reason": "before the upgrade"},
    )
    return dataclasses.replace(plain, **changes)


def payload(name: str, data: bytes) -> StoredPayload:
    """A payload as it would be described when its stored bytes are *data*."""
    return StoredPayload(
        name=name,
        media="text",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        plain_size=None if name.endswith(".zst") else len(data),
        compression="zstd" if name.endswith(".zst") else None,
        encryption=None,
    )


def signed(document: t.Mapping[str, t.Any]) -> bytes:
    """The bytes of a manifest with this content and the checksum that belongs to it."""
    whole = {key: value for key, value in document.items() if key != "checksum"}
    return json.dumps({**whole, "checksum": document_checksum(whole)}).encode("utf-8")


def store(storage: Storage, described: Manifest) -> BackupFolder:
    """Put the backup with the payloads of DATA into a repository, in the order in which a run does."""
    folder = described.folder
    storage.put(folder.key("started.json"), json.dumps({"id": described.backup_id, "host": described.host}).encode())
    for name, data in DATA.items():
        storage.put(folder.key(name), data)
    storage.put(folder.manifest_key, described.as_bytes())
    return folder


def unreachable() -> None:
    """A fault for FaultyStorage: the repository does not answer."""
    raise StorageUnreachable("The repository does not answer.", hint="Look at the network.")
