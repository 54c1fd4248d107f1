# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup from the repositories that have it into one that lacks it: as a run would have written it there.

Order of writes, which is the promise: ``started.json``, a look for removals, the payloads (each hashed on the way),
``RESTORE.md``, verifications and pins, a look that all of it is still there, ``manifest.json``, and a last look.
Whatever dies in between leaves a folder without a manifest, which no list shows as a backup and which the next copy
goes on with: what is there with the right size and hash stays. Nothing is ever deleted but our own manifest, and that
only when the last look finds that somebody took the payloads away in the same moment.
"""

from __future__ import annotations

import functools
import json
import os
import typing as t

from ..catalog.folder_content import FolderContent, look_closely_into, look_into
from ..catalog.layout import RESTORE_NOTES, STARTED, BackupFolder, Series
from ..catalog.manifest import Manifest, parse_manifest
from ..core.clock import format_time
from ..core.errors import Interrupted, LifeboatError, ManifestInvalid, ManifestTooNew, StorageExists, StorageNotFound
from ..core.host import Host
from ..core.ids import is_name
from ..core.version import VERSION
from .copy_object import Expected, ObjectCopier, Place, SourceFailed
from .copy_results import COPIED, FAILED, GONE, PRESENT, REMOVED, REPAIRED, WAITING, BackupOutcome
from .copy_source import AllRemoved, BackupSources
from .copy_values import PlannedBackup


class _Ended(Exception):
    """It ends here, and nobody is to blame. *state* is what became of the backup."""

    def __init__(self, state: str, note: str) -> None:
        super().__init__(note)
        self.state = state
        self.note = note


class BackupCopy:
    """One planned backup; *sources* are the repositories by name that it may be read from."""

    def __init__(
        self, planned: PlannedBackup, *, copier: ObjectCopier, sources: t.Mapping[str, Place], host: Host
    ) -> None:
        self._planned = planned
        self._manifest = planned.backup.manifest
        self._folder: BackupFolder = self._manifest.folder
        self._copier = copier
        self._target = copier.target
        self._sources = BackupSources(self._manifest, [sources[name] for name in planned.sources], journal=host.journal)
        self._host = host
        self._objects = 0
        self._kept = 0
        self._bytes = 0

    def run(self) -> BackupOutcome:
        """Do it; whatever goes wrong is in the outcome. Only being told to stop comes out of it."""
        try:
            if self._planned.repairs:
                return self._repair()
            return self._copy()
        except _Ended as ended:
            return self._outcome(ended.state, note=ended.note)
        except AllRemoved:
            note = "it was removed from every repository that it could be read from, while it was copied"
            return self._outcome(GONE, note=note)
        except SourceFailed as failed:
            return self._outcome(FAILED, error=failed.error)
        except Interrupted:
            raise
        except LifeboatError as error:
            error.details.setdefault("repository", self._target.name)
            return self._outcome(FAILED, error=error)

    def _copy(self) -> BackupOutcome:
        self._begin()
        documents = self._sources.first(self._sources.documents)
        for expected in self._payloads():
            self._sources.first(functools.partial(self._bring, expected))
        for key, data in documents.rest.items():
            self._objects += self._copier.bring_document(key, data, replace=key.endswith(RESTORE_NOTES))
        self._require_whole(look_into(self._target.storage, self._folder))
        state = self._put_manifest(documents.manifest)
        self._look_again(is_ours=state == COPIED)
        return self._outcome(state)

    def _begin(self) -> None:
        """Say that a copy is being made, then look whether somebody removes or sweeps it, or what it builds on.

        They do it the other way round, so whoever comes second sees the other.
        """
        document = {
            "id": self._manifest.backup_id,
            "job": self._folder.series.folder.rstrip("/"),
            # Not ours: a sweep on this host would take a copy that is being made for a run of this host that died.
            "host": "",
            "pid": os.getpid(),
            "started": format_time(self._manifest.started),
            "lifeboat_version": VERSION,
            "parent": self._manifest.parent,
            "copy": {
                "host": self._host.name,
                "began": format_time(self._host.clock.now()),
                "from": list(self._planned.sources),
            },
        }
        data = (json.dumps(document, indent=2, sort_keys=True) + "\n").encode("utf-8")
        self._refuse_taken(look_into(self._target.storage, self._folder))
        started = self._folder.key(STARTED)
        self._target.storage_for(started).put(started, data, if_absent=False)
        self._refuse_taken(look_into(self._target.storage, self._folder))
        if self._manifest.parent is not None:
            self._require_parent()

    def _require_parent(self) -> None:
        """The parent is a backup in the target: its removal, if one begins now, sees what we have said we begin."""
        parent = str(self._manifest.parent)
        if any(look_closely_into(self._target.storage, folder).is_backup for folder in self._parent_folders(parent)):
            return
        # What says that we build on it would keep others from removing it for a week.
        if look_into(self._target.storage, self._folder).objects.keys() == {self._folder.key(STARTED)}:
            self._target.storage.delete([self._folder.key(STARTED)])
        raise _Ended(
            REMOVED, f"{parent}, which it builds on, is not in {self._target.name} any more: retention removes it"
        )

    def _parent_folders(self, parent: str) -> t.Iterator[BackupFolder]:
        series = self._folder.series
        for kind in self._target.storage.list_folders(f"{series.service}/{series.source}/"):
            if is_name(kind):
                yield Series(service=series.service, source=series.source, kind=kind).backup(parent)

    def _refuse_taken(self, content: FolderContent) -> None:
        if content.policy_removals:
            raise _Ended(REMOVED, f"retention removed it from {self._target.name}, or is removing it")
        if content.sweeps:
            raise _Ended(
                WAITING, f"what was left of it in {self._target.name} is being swept just now; run lifeboat copy again"
            )
        if content.has_manifest:
            raise _Ended(PRESENT, f"{self._target.name} has it meanwhile")

    def _payloads(self) -> t.Iterator[Expected]:
        for payload in self._manifest.payloads:
            yield Expected(key=self._folder.key(payload.name), size=payload.size, sha256=payload.sha256)

    def _bring(self, expected: Expected, source: Place) -> None:
        if self._copier.bring(expected, source=source):
            self._objects += 1
            self._bytes += expected.size
        else:
            self._kept += 1

    def _require_whole(self, content: FolderContent) -> None:
        """Raise unless all payloads lie there with their sizes, our announcement too, and no removal."""
        if content.policy_removals:
            raise _Ended(REMOVED, f"retention removes it from {self._target.name}")
        gone = [
            payload.name
            for payload in self._manifest.payloads
            if self._folder.key(payload.name) not in content.objects
            or content.objects[self._folder.key(payload.name)].size != payload.size
        ]
        if not content.has_manifest and self._folder.key(STARTED) not in content.objects:
            gone.append(STARTED)
        if gone:
            raise StorageNotFound(
                f"Somebody removed {', '.join(gone)} from {self._target.name} while {self._manifest.backup_id} was "
                "copied there.",
                hint="Look for expiry rules of the bucket; then run lifeboat copy again.",
                details={"objects": gone},
            )

    def _put_manifest(self, data: bytes) -> str:
        try:
            self._target.storage.put(self._folder.manifest_key, data)
        except StorageExists:
            # Another copy was faster; or an earlier answer was lost, and it is ours.
            self._require_same_manifest(data)
            return PRESENT
        self._objects += 1
        return COPIED

    def _require_same_manifest(self, data: bytes) -> None:
        stored = self._target.storage.get(self._folder.manifest_key)
        if stored == data or _manifest_or_none(stored, self._folder) == self._manifest:
            return
        raise ManifestInvalid(
            f"{self._target.name} has another manifest of {self._manifest.backup_id}, or one that can't be read.",
            hint=f"Compare them: lifeboat show {self._manifest.backup_id} --repository {self._target.name}. "
            "One that can't be read is replaced by: lifeboat copy --repair",
            details={"key": self._folder.manifest_key, "repository": self._target.name},
        )

    def _look_again(self, *, is_ours: bool) -> None:
        """A removal or a sweep may have begun between the look before and the manifest; then it must not stay."""
        content = look_into(self._target.storage, self._folder)
        try:
            self._require_whole(content)
        except (StorageNotFound, _Ended):
            if is_ours and not content.policy_removals:
                self._target.storage.delete([self._folder.manifest_key])
            raise

    def _repair(self) -> BackupOutcome:
        """Replace what is missing or differs in the target by the bytes of the manifest."""
        content = look_into(self._target.storage, self._folder)
        if content.policy_removals:
            raise _Ended(REMOVED, f"retention removes it from {self._target.name}")
        documents = self._sources.first(self._sources.documents)
        for expected in self._payloads():
            self._sources.first(functools.partial(self._bring, expected))
        for key, data in documents.rest.items():
            self._objects += self._copier.bring_document(key, data)
        stored = self._target.storage.get(self._folder.manifest_key) if content.has_manifest else b""
        if _manifest_or_none(stored, self._folder) is None:
            self._require_whole(look_into(self._target.storage, self._folder))
            self._objects += self._copier.bring_document(self._folder.manifest_key, documents.manifest, replace=True)
        else:
            self._require_same_manifest(documents.manifest)
        self._require_whole(look_into(self._target.storage, self._folder))
        verify = f"prove it: lifeboat verify {self._manifest.backup_id}"
        return self._outcome(REPAIRED if self._objects else PRESENT, note=verify)

    def _outcome(self, state: str, *, note: str = "", error: LifeboatError | None = None) -> BackupOutcome:
        return BackupOutcome(
            planned=self._planned,
            state=state,
            source=self._sources.used.name if self._sources.used and self._objects else None,
            objects=self._objects,
            kept=self._kept,
            bytes=self._bytes,
            note=note,
            error=error,
        )


def _manifest_or_none(data: bytes, folder: BackupFolder) -> Manifest | None:
    try:
        return parse_manifest(data, folder=folder)
    except (ManifestInvalid, ManifestTooNew):
        return None
