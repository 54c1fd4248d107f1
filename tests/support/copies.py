# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories with backups and streams in them, as runs and shippers leave them, for tests of copying and checking."""

from __future__ import annotations

import datetime
import hashlib
import json
import pathlib
import random
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import (
    CopyResult as VerifiedCopy,
    Verification,
    verification_key,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import backup_id_time, new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_results import CopyResult
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copy_values import CopyRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.copying import run_copy
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.index import make_index
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import (
    StreamFolder,
    hour_of,
    object_name,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_records
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.record import Record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
    StreamEvent,
)
from tests.support.clocks import START, FakeClock
from tests.support.manifests import manifest, payload

APP = Series(service="family", source="main", kind="full")
STREAM = StreamFolder(series=Series(service="family", source="main", kind="oplog"), lineage="rs0-1")
NAMES = ("local", "offsite")


def payloads_of(backup_id: str, *, size: int = 300) -> dict[str, bytes]:
    """What the payloads of that backup hold, the same every time."""
    return {
        name: random.Random(f"{backup_id}{name}").randbytes(size + number)
        for number, name in enumerate(("dump.archive.zst", "users.json"))
    }


def described(backup_id: str, *, size: int = 300, **changes: t.Any) -> Manifest:
    """The manifest of a backup of family/main/full that the job wanted in local and offsite."""
    stored = tuple(payload(name, data) for name, data in payloads_of(backup_id, size=size).items())
    return manifest(**{"backup_id": backup_id, "payloads": stored, "repositories": NAMES, **changes})


def put_backup(storage: Storage, backup: Manifest, *, size: int = 300) -> Manifest:
    """Store a backup in the order in which a run does."""
    folder = backup.folder
    storage.put(folder.key("started.json"), json.dumps({"id": backup.backup_id, "host": backup.host}).encode())
    for name, data in payloads_of(backup.backup_id, size=size).items():
        storage.put(folder.key(name), data)
    storage.put(folder.key("RESTORE.md"), f"# Restore {backup.backup_id}\n".encode())
    storage.put(folder.manifest_key, backup.as_bytes())
    return backup


def put_verification(
    storage: Storage, backup: Manifest, copies: t.Mapping[str, int], *, error: str | None = None, number: int = 1
) -> str:
    """Note how far each repository's copy came (*copies*); with *error*, they all failed then. Its key."""
    started = backup.started + datetime.timedelta(hours=number)
    failure = {"code": "payload.damaged", "message": error, "hint": "", "details": {}} if error else None
    reached = max(copies.values())
    verification = Verification(
        verification_id=new_backup_id(now=started),
        backup_id=backup.backup_id,
        manifest_checksum=str(backup.as_dict()["checksum"]),
        level=4,
        reached=reached,
        repository=next(iter(copies)),
        copies={name: VerifiedCopy(reached=one, error=failure) for name, one in copies.items()},
        checks=(),
        error=failure,
        started=started,
        finished=started + datetime.timedelta(seconds=5),
        host="db1",
        user="root",
        lifeboat_version="0.1.0",
    )
    key = verification_key(backup.folder, verification.verification_id)
    storage.put(key, verification.as_bytes())
    return key


def segment_of(number: int, *, content: str = "", encryption: str = "") -> tuple[Segment, bytes]:
    """A segment with its stored bytes; *encryption* stands for one of many ways to encrypt the same."""
    name = f"{number:08d}"
    plain = hashlib.sha256(f"{name}{content}".encode()).hexdigest()
    data = random.Random(f"{name}{content}{encryption}").randbytes(50 + number % 7)
    moment = START + datetime.timedelta(seconds=number)
    stored_name = object_name(name, plain, ".zst.age" if encryption else ".zst")
    return (
        Segment(
            description=SegmentDescription(
                name=name, group=name[:5], media="tape", begins=moment, ends=moment, facts={"number": number}
            ),
            payload=StoredPayload(
                name=stored_name,
                media="tape",
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                plain_size=100,
                compression="zstd",
                encryption="age" if encryption else None,
            ),
            plain_sha256=plain,
            stored=moment,
        ),
        data,
    )


def put_segments(
    storage: Storage,
    numbers: t.Iterable[int],
    *,
    made: datetime.datetime = START,
    events: t.Sequence[StreamEvent] = (),
    folder: StreamFolder = STREAM,
    content: str = "",
    encryption: str = "",
) -> Record:
    """Store segments and one record of them, as a shipper does."""
    segments = []
    for number in numbers:
        segment, data = segment_of(number, content=content, encryption=encryption)
        storage.put(folder.segment_key(segment.description.group, segment.payload.name), data, if_absent=False)
        segments.append(segment)
    record = Record(
        record_id=new_backup_id(now=made),
        folder=folder,
        engine="mongodb",
        made=made,
        host="db1",
        lifeboat_version="0.1.0",
        segments=tuple(segments),
        events=tuple(events),
    )
    storage.put(folder.record_key(hour_of(made), record.record_id), record.as_bytes())
    return record


def put_index(storage: Storage, *records: Record) -> None:
    """The index of the hour of *records*."""
    hour = hour_of(records[0].made)
    index = make_index(records, hour=hour, made=records[0].made)
    storage.put(records[0].folder.index_key(hour), index.as_bytes())


def recorded(storage: Storage, *, folder: StreamFolder = STREAM) -> dict[str, Segment]:
    """What the records of a repository name, each of it proved to be there byte for byte."""
    far_ahead = START + datetime.timedelta(days=3650)
    found = read_records(storage, folder, now=far_ahead)
    assert not found.problems, [str(problem) for problem in found.problems]
    segments = {segment.name: segment for record in found.records for segment in record.segments}
    for segment in segments.values():
        data = b"".join(storage.read(folder.segment_key(segment.description.group, segment.payload.name)))
        assert (len(data), hashlib.sha256(data).hexdigest()) == (segment.payload.size, segment.payload.sha256)
    return segments


def events_in(storage: Storage, *, folder: StreamFolder = STREAM) -> list[str]:
    """What the records of a repository tell of, in order."""
    found = read_records(storage, folder, now=START + datetime.timedelta(days=3650))
    return [event.what for record in found.records for event in record.events]


class Repositories:
    """Repositories in memory by name, with a clock that stands a day after the first backup."""

    def __init__(self, tmp_path: pathlib.Path, names: t.Sequence[str] = NAMES) -> None:
        self.clock = FakeClock(START + datetime.timedelta(days=1))
        self.journal = MemoryJournal()
        self.host = Host(clock=self.clock, journal=self.journal, name="copier")
        self.storages: dict[str, Storage] = {name: MemoryStorage(clock=self.clock, name=name) for name in names}
        self.state = str(tmp_path / "state")

    def __getitem__(self, name: str) -> Storage:
        return self.storages[name]

    def request(self, **changes: t.Any) -> CopyRequest:
        """A request to bring all of them up to each other."""
        requests = tuple(RepositoryRequest(name=name, description={"type": "memory"}) for name in self.storages)
        return CopyRequest(repositories=requests, state_directory=self.state, **changes)

    def copy(self, **changes: t.Any) -> CopyResult:
        """Do it."""
        return run_copy(self.request(**changes), host=self.host, storages=self.storages)


def backup_id(day: int, *, suffix: str = "aaaaaa") -> str:
    """The id of the backup of a day of November 2026."""
    made = f"202611{day:02d}T020000Z-{suffix}"
    backup_id_time(made)
    return made


def content(storage: Storage) -> dict[str, bytes]:
    """Every object with its bytes."""
    return {found.key: b"".join(storage.read(found.key)) for found in storage.list()}


def replace_object(storage: Storage, key: str, data: bytes) -> None:
    """Damage it."""
    storage.put(key, data, if_absent=False)
