# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two repositories hold when a simulation begins: the backups of three weeks, in whatever state."""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import random
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import BackupFolder, Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.pin import Pin, pin_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.removal import Removal, removal_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import (
    CopyResult,
    Verification,
    verification_key,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import backup_id_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage, _Stored

START = parse_time("2026-11-21T02:00:00Z")
BASE = Series(service="shop", source="main", kind="base")
INCREMENT = Series(service="shop", source="main", kind="incremental")
NAMES = ("near", "far")
PAYLOADS = ("base.tar", "globals.sql")

# Days before the start, and for an increment the place of what it builds on.
_BACKUPS: tuple[tuple[float, int | None], ...] = (
    (20.0, None),
    (15.0, None),
    (14.0, 1),
    (13.0, 2),
    (10.0, None),
    (9.0, 4),
    (6.0, None),
    (4.5, None),
    (3.0, None),
    (2.0, 8),
    (1.0, None),
)


def job_of(series: Series) -> str:
    """The name of the job that makes the backups of the series."""
    return str(series.folder).rstrip("/")


def payload_bytes(backup_id: str, name: str) -> bytes:
    """What a payload holds: no two of them the same."""
    return f"{backup_id} {name} ".encode() * 3


@functools.lru_cache(maxsize=1)
def manifests() -> tuple[Manifest, ...]:
    """All backups that there may be, each behind what it builds on."""
    made: list[Manifest] = []
    for number, (days, parent) in enumerate(_BACKUPS):
        started = START - datetime.timedelta(days=days)
        backup_id = f"{started:%Y%m%dT%H%M%SZ}-{number:06x}"
        made.append(_manifest(backup_id, made[parent].backup_id if parent is not None else None))
    return tuple(made)


def _manifest(backup_id: str, parent: str | None) -> Manifest:
    series = INCREMENT if parent else BASE
    started = backup_id_time(backup_id)
    data = {name: payload_bytes(backup_id, name) for name in PAYLOADS}
    return Manifest(
        backup_id=backup_id,
        service=series.service,
        source=series.source,
        engine="postgresql",
        kind=series.kind,
        started=started,
        finished=started + datetime.timedelta(minutes=5),
        host="db1",
        lifeboat_version="0.1.0",
        repositories=NAMES,
        compression=None,
        encryption=None,
        payloads=tuple(
            StoredPayload(
                name=name,
                media="text",
                size=len(stored),
                sha256=hashlib.sha256(stored).hexdigest(),
                plain_size=len(stored),
                compression=None,
                encryption=None,
            )
            for name, stored in data.items()
        ),
        facts={},
        content={},
        stages={},
        parent=parent,
        labels={"job": job_of(series)},
    )


@functools.lru_cache(maxsize=1024)
def _objects(manifest: _ById, verdict: str, copies: tuple[str, ...]) -> dict[str, bytes]:
    whole = manifest.value
    folder = whole.folder
    started = {"id": whole.backup_id, "host": whole.host, "parent": whole.parent}
    objects = {
        folder.key("started.json"): json.dumps(started).encode(),
        **{folder.key(name): payload_bytes(whole.backup_id, name) for name in PAYLOADS},
        folder.key("RESTORE.md"): b"how to",
        folder.manifest_key: whole.as_bytes(),
    }
    if verdict:
        document = verification(whole, passed=verdict == "passed", copies=copies)
        objects[verification_key(folder, document.verification_id)] = document.as_bytes()
    return objects


class _ById:
    """A manifest that can be a key of a cache."""

    def __init__(self, value: Manifest) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(self.value.backup_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.value.backup_id == self.value.backup_id


def verification(manifest: Manifest, *, passed: bool, copies: t.Sequence[str]) -> Verification:
    """A document about these copies, of the hour after the backup."""
    error = None if passed else {"code": "check.failed", "message": "it answers wrongly"}
    when = manifest.finished + datetime.timedelta(hours=1)
    return Verification(
        verification_id=f"{when:%Y%m%dT%H%M%SZ}-{manifest.backup_id[-6:]}",
        backup_id=manifest.backup_id,
        manifest_checksum=str(manifest.as_dict()["checksum"]),
        level=3,
        reached=3 if passed else 2,
        repository=copies[0],
        copies={name: CopyResult(reached=3 if passed else 2, error=error) for name in copies},
        checks=(),
        error=error,
        started=when,
        finished=when + datetime.timedelta(minutes=5),
        host="db1",
        user="root",
        lifeboat_version="0.1.0",
        recovery_seconds=1.0 if passed else None,
    )


def fill(storages: t.Mapping[str, MemoryStorage], chance: random.Random) -> set[tuple[str, str]]:
    """Put a history of the seed's choice into the repositories; the pins in it, as repository and backup."""
    share = chance.choice((0.4, 0.75, 0.9))
    chosen = [one for one in manifests() if chance.random() < share]
    # A repository that was down lately.
    newest = {name: chance.choice((99, 99, 99, 4, 7, 9)) for name in storages}
    held: dict[str, set[str]] = {name: set() for name in storages}
    pins: set[tuple[str, str]] = set()
    for manifest in chosen:
        number = int(manifest.backup_id[-6:], 16)
        places = [
            name
            for name in storages
            if number <= newest[name] and chance.random() < 0.85 and _has_base(manifest, held[name])
        ]
        if not places:
            continue
        verdict = chance.choices(("passed", "failed", ""), weights=(6, 1, 2))[0]
        objects = _objects(_ById(manifest), verdict, tuple(places))
        pin = chance.random() < 0.08
        for name in places:
            held[name].add(manifest.backup_id)
            for key, data in objects.items():
                put(storages[name], key, data, when=manifest.finished)
            if pin:
                document = _pin(manifest.folder)
                put(storages[name], pin_key(manifest.folder, document.pin_id), document.as_bytes(), when=document.made)
                pins.add((name, manifest.backup_id))
    for name, storage in storages.items():
        _damage(storage, name, [one for one in chosen if one.backup_id not in held[name]], chance)
    return pins


def _has_base(manifest: Manifest, held: t.AbstractSet[str]) -> bool:
    return manifest.parent is None or manifest.parent in held


def _damage(storage: MemoryStorage, name: str, absent: t.Sequence[Manifest], chance: random.Random) -> None:
    """What runs of long ago may have left: a dead backup, a removal that had only begun, a tombstone."""
    when = START - datetime.timedelta(hours=chance.choice((1, 7, 200)))
    if chance.random() < 0.15:
        folder = BASE.backup(f"{START - datetime.timedelta(hours=5):%Y%m%dT%H%M%SZ}-dead00")
        put(storage, folder.key("started.json"), b'{"host": "db1", "parent": null}', when=when)
        put(storage, folder.key(PAYLOADS[0]), b"half", when=when)
    if absent and chance.random() < 0.2:
        folder = chance.choice(absent).folder
        put(storage, removal_key(folder, _MARK), _removal(folder, name).as_bytes(), when=when)


_MARK = "20261101T000000Z-00dead"


def _removal(folder: BackupFolder, name: str) -> Removal:
    return Removal(
        removal_id=_MARK,
        backup_id=folder.backup_id,
        repository=name,
        plan_hash="an earlier one",
        reasons=("too old",),
        started=backup_id_time(_MARK),
        host="db1",
        lifeboat_version="0.1.0",
    )


def _pin(folder: BackupFolder) -> Pin:
    return Pin(
        pin_id=f"{folder.backup_id[:16]}-a00001",
        backup_id=folder.backup_id,
        reason="before the migration",
        by="root",
        host="db1",
        made=backup_id_time(folder.backup_id) + datetime.timedelta(hours=3),
    )


def put(storage: MemoryStorage, key: str, data: bytes, *, when: datetime.datetime) -> None:
    """Have an object there that was stored at that time."""
    info = ObjectInfo(key=key, size=len(data), modified=when)
    storage._objects[key] = _Stored(data=data, info=info)
    if storage._versions is not None:
        storage._versions.add(info, data)
