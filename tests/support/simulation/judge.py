# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the repositories after every single change, and says what must never be. Shares no code with retention."""

from __future__ import annotations

import datetime
import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import (
    MANIFEST,
    RESTORE_NOTES,
    STARTED,
    BackupFolder,
    parse_key,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest, parse_manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.standing import VERIFIED, copy_states
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.verification import (
    Verification,
    parse_verification,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.simulation.shipping import STREAM, is_of_stream, named

MINIMUM_VERIFIED = 2
# More than the sweep age.
_LONG = datetime.timedelta(days=7, hours=12)


class Violation(BaseException):
    """What must never be. No Exception: nobody is to take it for a repository's failure."""


@functools.lru_cache(maxsize=4096)
def parts_of(key: str) -> tuple[BackupFolder, str] | None:
    """The folder and the name of an object of a backup."""
    parts = parse_key(key)
    return (parts.folder, parts.name) if parts else None


@functools.lru_cache(maxsize=4096)
def manifest_of(data: bytes, folder: BackupFolder) -> Manifest:
    """What the manifest says."""
    return parse_manifest(data, folder=folder)


@functools.lru_cache(maxsize=4096)
def _verification_of(data: bytes, key: str, backup_id: str) -> Verification:
    return parse_verification(data, key=key, backup_id=backup_id)


@dataclass
class Kept:
    """One repository: its objects, and what it is to keep: *within* that age everything."""

    name: str
    storage: MemoryStorage
    within: datetime.timedelta
    folders: dict[BackupFolder, set[str]] = field(default_factory=dict)

    def index(self) -> None:
        """Note what lies in which folder."""
        self.folders = {}
        for key in self.storage._objects:
            parts = parts_of(key)
            if parts is not None:
                self.folders.setdefault(parts[0], set()).add(parts[1])

    def data(self, folder: BackupFolder, name: str) -> bytes:
        """The bytes of an object of a backup."""
        data: bytes = self.storage._objects[folder.key(name)].data
        return data

    def manifest(self, folder: BackupFolder) -> Manifest | None:
        """What the manifest says, None without one."""
        if MANIFEST not in self.folders.get(folder, ()):
            return None
        return manifest_of(self.data(folder, MANIFEST), folder)

    def is_listed(self, folder: BackupFolder) -> bool:
        """Whether lists show it."""
        names = self.folders.get(folder, set())
        return MANIFEST in names and not any(name.startswith("removal-") for name in names)

    def is_whole(self, folder: BackupFolder) -> bool:
        """Whether every payload of its manifest is there as it was stored."""
        manifest = self.manifest(folder)
        if manifest is None:
            return False
        names = self.folders[folder]
        return all(
            payload.name in names and len(self.data(folder, payload.name)) == payload.size
            for payload in manifest.payloads
        )


class Judge:
    """The invariants. *pins* are the ids of backups of which somebody was told that they stay, by repository."""

    def __init__(self, repositories: t.Mapping[str, Kept], *, now: t.Callable[[], datetime.datetime]) -> None:
        self.repositories = repositories
        self.pins: set[tuple[str, str]] = set()
        self.removed: list[tuple[str, str]] = []
        self._now = now
        self._manifests: dict[tuple[str, BackupFolder], Manifest] = {}
        self._checksums: dict[BackupFolder, str] = {}
        self._marked_as_failed: set[tuple[str, BackupFolder]] = set()
        for repository in repositories.values():
            repository.index()
            for folder in repository.folders:
                self._remember(repository, folder)

    def _remember(self, repository: Kept, folder: BackupFolder) -> None:
        """When a manifest goes, it must be known what it said."""
        manifest = repository.manifest(folder)
        if manifest is not None:
            self._manifests[repository.name, folder] = manifest

    def changed(self, name: str, key: str, is_stored: bool) -> None:
        """One object was stored, or deleted."""
        parts = parts_of(key)
        if parts is None:
            self._no_record_of_nothing(name)
            return
        repository = self.repositories[name]
        folder, object_name = parts[0], parts[1]
        if is_stored:
            repository.folders.setdefault(folder, set()).add(object_name)
            if object_name == MANIFEST:
                self._remember(repository, folder)
            elif object_name.startswith("removal-"):
                self._note_mark(repository, folder)
        elif key not in repository.storage._objects:
            names = repository.folders.get(folder, set())
            if object_name in names and MANIFEST in names:
                self._before_loss(repository, folder, object_name)
            names.discard(object_name)
            if not names:
                repository.folders.pop(folder, None)
        self._no_backup_without_payload(repository, folder)
        self._no_increment_without_base(repository, folder)

    def _no_record_of_nothing(self, name: str) -> None:
        """Every segment that a record names is there: whoever died, and whoever swept."""
        storage = self.repositories[name].storage
        missing = named(storage) - storage._objects.keys()
        if missing:
            raise Violation(f"{name} has records of {sorted(missing)}, which is not there")

    def _note_mark(self, repository: Kept, folder: BackupFolder) -> None:
        """What it was when it was marked counts: a verifier that had begun may say in the other repository that this
        copy is good, when no list shows it any more and nobody who removes it reads that.
        """
        if self.state(repository, folder) == "failed":
            self._marked_as_failed.add((repository.name, folder))
        else:
            self._marked_as_failed.discard((repository.name, folder))

    def _no_backup_without_payload(self, repository: Kept, folder: BackupFolder) -> None:
        if repository.is_listed(folder) and not repository.is_whole(folder):
            raise Violation(f"{repository.name} lists {folder.backup_id}, of which a payload is missing")

    def _no_increment_without_base(self, repository: Kept, folder: BackupFolder) -> None:
        """A base may be out of sight for a moment, but all of it must be there."""
        for child in repository.folders:
            if child != folder and (child.series.service, child.series.source) != (
                folder.series.service,
                folder.series.source,
            ):
                continue
            manifest = repository.manifest(child)
            if manifest is None or manifest.parent is None or not repository.is_listed(child):
                continue
            if child != folder and manifest.parent != folder.backup_id:
                continue
            if not any(base.backup_id == manifest.parent and repository.is_whole(base) for base in repository.folders):
                raise Violation(f"{repository.name} lists {child.backup_id} without its base {manifest.parent}")

    def _before_loss(self, repository: Kept, folder: BackupFolder, object_name: str) -> None:
        """An object of a folder with a manifest has just gone: if it was whole, that is the end of the backup."""
        manifest = self._manifests.get((repository.name, folder)) or repository.manifest(folder)
        if manifest is None:
            return
        payloads = {payload.name for payload in manifest.payloads}
        if object_name != MANIFEST and object_name not in payloads:
            return
        names = repository.folders[folder]
        if object_name == MANIFEST and payloads & names:
            raise Violation(f"{repository.name}: the manifest of {folder.backup_id} goes, and payloads are left")
        if not payloads <= names:
            return  # it had begun before
        self.removed.append((repository.name, folder.backup_id))
        self._may_go(repository, folder, manifest)

    def _may_go(self, repository: Kept, folder: BackupFolder, manifest: Manifest) -> None:
        name, backup_id = repository.name, folder.backup_id
        if (name, backup_id) in self.pins:
            raise Violation(f"{name} loses {backup_id}, which is pinned")
        if self._now() - manifest.started <= repository.within:
            raise Violation(f"{name} loses {backup_id}, which its policy keeps for its age")
        others = [
            other
            for other in repository.folders
            if other.series == folder.series and other != folder and repository.is_listed(other)
        ]
        if not any(other.backup_id > backup_id for other in others):
            raise Violation(f"{name} loses {backup_id}, the newest of its series")
        verified = sorted(other.backup_id for other in others if self.state(repository, other) == VERIFIED)
        if len(verified) < MINIMUM_VERIFIED:
            raise Violation(f"{name} loses {backup_id}, and only {len(verified)} verified ones are left: {verified}")
        is_failed = self.state(repository, folder, manifest) == "failed" or (name, folder) in self._marked_as_failed
        if not is_failed and verified[-MINIMUM_VERIFIED] < backup_id:
            raise Violation(f"{name} loses {backup_id}, and of the newer ones too few are verified: {verified}")

    def state(self, repository: Kept, folder: BackupFolder, manifest: Manifest | None = None) -> str:
        """What the copy is worth, by the verifications that lie beside any copy."""
        manifest = manifest or repository.manifest(folder)
        if manifest is None:
            return "no backup"
        found: dict[str, Verification] = {}
        for other in self.repositories.values():
            for name in other.folders.get(folder, ()):
                key = folder.key(name)
                if name.startswith("verification-") and key in other.storage._objects:
                    found[name] = _verification_of(other.data(folder, name), key, folder.backup_id)
        if folder not in self._checksums:
            self._checksums[folder] = str(manifest.as_dict()["checksum"])
        states = copy_states([repository.name], found.values(), manifest_checksum=self._checksums[folder])
        return str(states[repository.name])

    # --- at the end --------------------------------------------------------------------------------------------

    def at_the_end(self) -> None:
        """After everything was cleaned up, and nobody has done anything for longer than the sweep age."""
        for repository in self.repositories.values():
            for folder in repository.folders:
                self._nothing_but_backups(repository, folder)
            recorded = named(repository.storage)
            for key in repository.storage._objects:
                if key.startswith(STREAM.segments_prefix) and key not in recorded:
                    raise Violation(f"{repository.name} holds {key}, which no record names")
                if parts_of(key) is None and not is_of_stream(key):
                    raise Violation(f"{repository.name} holds {key}, which is nobody's")
            self._no_old_versions_of_nothing(repository)
            uploads = [upload.key for upload in repository.storage.unfinished()]
            if uploads:
                raise Violation(f"{repository.name} holds unfinished uploads: {uploads}")
        for name, backup_id in self.pins:
            repository = self.repositories[name]
            folders = [folder for folder in repository.folders if folder.backup_id == backup_id]
            if not any(repository.is_listed(folder) for folder in folders):
                raise Violation(f"{name} does not list {backup_id}, which is pinned")

    def _no_old_versions_of_nothing(self, repository: Kept) -> None:
        """What was deleted only now is swept when it is old."""
        newest: dict[BackupFolder, datetime.datetime] = {}
        for version in repository.storage.versions():
            parts = parts_of(version.key)
            if parts is not None and parts[0] not in repository.folders:
                newest[parts[0]] = max(version.modified, newest.get(parts[0], version.modified))
        for folder, moment in newest.items():
            if self._now() - moment > _LONG:
                raise Violation(f"{repository.name} keeps old versions of {folder.backup_id}")

    def _nothing_but_backups(self, repository: Kept, folder: BackupFolder) -> None:
        names = repository.folders[folder]
        if repository.is_listed(folder):
            manifest = t.cast("Manifest", repository.manifest(folder))
            known = {MANIFEST, STARTED, RESTORE_NOTES, *(payload.name for payload in manifest.payloads)}
            strange = [name for name in names - known if not name.startswith(("verification-", "pin-"))]
            if strange:
                raise Violation(f"{repository.name}: beside the backup {folder.backup_id} there is {strange}")
            parents = [one for one in repository.folders if one.backup_id == manifest.parent]
            if manifest.parent is not None and not any(repository.is_listed(one) for one in parents):
                raise Violation(f"{repository.name} lists {folder.backup_id}, and not its base {manifest.parent}")
            return
        if len(names) != 1 or not all(name.startswith("removal-") for name in names):
            raise Violation(f"{repository.name}: garbage of {folder.backup_id}: {sorted(names)}")
        if not any(other.is_listed(folder) for other in self.repositories.values()):
            raise Violation(f"{repository.name} remembers the removal of {folder.backup_id}, which nobody has")
