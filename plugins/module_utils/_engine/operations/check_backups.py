# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the folder of a backup is what its manifest says: every payload there, sized, and when asked read and hashed.

What is being made, copied or removed just now is no finding: before anything is told, the folder is listed again.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass

from ..catalog.folder_content import FolderContent, look_into
from ..catalog.layout import MANIFEST, RESTORE_NOTES, STARTED, BackupFolder
from ..catalog.manifest import Manifest, parse_manifest
from ..catalog.pin import parse_pin
from ..catalog.removal import REMOVED
from ..catalog.set_members import Member, members_of
from ..catalog.standing import FAILED, copy_states
from ..catalog.verification import Verification, parse_verification
from ..core.clock import format_time
from ..core.errors import Interrupted, LifeboatError, StorageError, StorageNotFound
from .check_values import Looking
from .copy_object import Expected, Place

#: No run lasts longer (:mod:`catalog.leftovers`); what is younger may be alive.
MAY_BE_ALIVE = datetime.timedelta(days=7)


@dataclass(frozen=True)
class BackupSeen:
    """A backup that the repository lists: what others are held against."""

    folder: BackupFolder
    parent: str | None
    repositories: tuple[str, ...]
    checksum: str = ""  # of its manifest
    members: tuple[Member, ...] = ()


def check_folder(
    content: FolderContent, *, place: Place, looking: Looking, now: datetime.datetime
) -> BackupSeen | None:
    """Look through one folder, as it was listed. Findings go where they belong; None when it is no backup."""
    return _Folder(content, place=place, looking=looking, now=now).check()


def is_whole(expected: Expected, *, place: Place, looking: Looking) -> str | None:
    """Read the object to its end: what is wrong with its bytes, else None. Raises what reading raises."""
    digest, size = hashlib.sha256(), 0
    for piece in place.storage.read(expected.key):
        looking.stopping.check()
        digest.update(piece)
        size += len(piece)
        looking.progress.add(done=len(piece))
        if size > expected.size:
            break
    if size != expected.size:
        return f"{size} bytes came, or more, and not {expected.size}"
    if digest.hexdigest() != expected.sha256:
        return f"the SHA-256 of its bytes is {digest.hexdigest()}, and not {expected.sha256}"
    return None


class _Folder:
    def __init__(self, content: FolderContent, *, place: Place, looking: Looking, now: datetime.datetime) -> None:
        self._content = content
        self._folder = content.folder
        self._place = place
        self._looking = looking
        self._now = now

    def check(self) -> BackupSeen | None:
        removed = self._content.removed(self._place.name)
        if removed is not None:
            if removed.state != REMOVED:
                self._tell_unfinished_removal()
            return None
        if not self._content.has_manifest:
            self._tell_unfinished_run()
            return None
        manifest = self._manifest()
        if manifest is None:
            return None
        self._check_payloads(manifest)
        self._check_documents(manifest)
        self._tell_strangers(manifest)
        return BackupSeen(
            folder=self._folder,
            parent=manifest.parent,
            repositories=manifest.repositories,
            checksum=str(manifest.as_dict()["checksum"]),
            members=self._members(manifest),
        )

    def _manifest(self) -> Manifest | None:
        try:
            return parse_manifest(self._place.storage.get(self._folder.manifest_key), folder=self._folder)
        except StorageNotFound:
            return None  # removed just now
        except LifeboatError as error:
            self._add("manifest-unreadable", MANIFEST, error.message, hint=self._repair_hint())
            return None

    def _members(self, manifest: Manifest) -> tuple[Member, ...]:
        try:
            return members_of(manifest)
        except LifeboatError as error:
            self._add("manifest-unreadable", MANIFEST, error.message, hint=self._repair_hint())
            return ()

    def _check_payloads(self, manifest: Manifest) -> None:
        for payload in manifest.payloads:
            expected = Expected(key=self._folder.key(payload.name), size=payload.size, sha256=payload.sha256)
            found = self._content.objects.get(expected.key)
            if found is None:
                if self._is_still_a_backup_without(expected.key):
                    self._add(
                        "payload-missing",
                        payload.name,
                        "the manifest names it, and it is not there",
                        hint=self._repair_hint(),
                    )
            elif found.size != payload.size:
                problem = f"{found.size} bytes are stored, and the manifest says {payload.size}"
                self._add("payload-size", payload.name, problem, hint=self._repair_hint())
            elif self._looking.request.share is not None and self._looking.request.share.takes(expected.key):
                self._read(expected, payload.name)

    def _read(self, expected: Expected, name: str) -> None:
        try:
            problem = is_whole(expected, place=self._place, looking=self._looking)
        except Interrupted:
            raise
        except LifeboatError as error:
            if not self._is_still_a_backup_without(expected.key, may_be_there=True):
                return
            problem = f"it could not be read: {error.message}"
        self._looking.looked.payloads_read += 1
        self._looking.looked.bytes_read += expected.size
        if problem is not None:
            self._add("payload-damaged", name, problem, hint=self._repair_hint())

    def _check_documents(self, manifest: Manifest) -> None:
        if self._folder.key(RESTORE_NOTES) not in self._content.objects and self._is_still_a_backup_without(
            self._folder.key(RESTORE_NOTES)
        ):
            self._add("notes-missing", RESTORE_NOTES, "the commands to restore it by hand are not there")
        verifications: list[Verification] = []
        for key in (*self._content.verifications, *self._content.pins):
            try:
                data = self._place.storage.get(key)
                if key in self._content.pins:
                    parse_pin(data, key=key, backup_id=manifest.backup_id)
                else:
                    verifications.append(parse_verification(data, key=key, backup_id=manifest.backup_id))
            except StorageNotFound:
                continue  # a pin that was taken away, or the whole copy
            except LifeboatError as error:
                self._add("document-unreadable", key.rpartition("/")[2], error.message, hint=error.hint)
        states = copy_states([self._place.name], verifications, manifest_checksum=str(manifest.as_dict()["checksum"]))
        if states[self._place.name] == FAILED:
            errors = [one.error for one in verifications if one.error]
            reason = str(errors[-1].get("message", "")) if errors else "a copy of it is damaged"
            self._add(
                "copy-failed",
                MANIFEST,
                f"it failed its verification: {reason}",
                hint=f"Mend the reason and verify it again: lifeboat verify {manifest.backup_id}",
            )

    def _tell_strangers(self, manifest: Manifest) -> None:
        known = {payload.name for payload in manifest.payloads} | {MANIFEST, RESTORE_NOTES, STARTED}
        known_keys = {self._folder.key(name) for name in known} | {
            *self._content.verifications,
            *self._content.pins,
            *self._content.removals,
        }
        for key, found in self._content.objects.items():
            if key not in known_keys:
                self._looking.findings.add(
                    "orphan",
                    key,
                    f"{found.size} bytes beside a backup, named by nobody",
                    hint="It goes with the backup.",
                )

    def _tell_unfinished_run(self) -> None:
        newest = max(found.modified for found in self._content.objects.values())
        size = sum(found.size for found in self._content.objects.values())
        age = self._now - newest
        if age <= MAY_BE_ALIVE:
            what = f"a run or a copy that is under way or died: {size} bytes, the last at {format_time(newest)}"
            hint = "The next backup of this source, or the next copy, goes on with it or sweeps it."
        else:
            what = f"a run or a copy that died: {size} bytes, the last at {format_time(newest)}"
            hint = "The next backup of this source sweeps it, or lifeboat prune. See: lifeboat prune --plan"
        self._add("run-unfinished", "", what, hint=hint)

    def _tell_unfinished_removal(self) -> None:
        size = sum(self._content.objects[key].size for key in self._content.rest)
        self._add(
            "removal-unfinished",
            "",
            f"retention is removing it, or died in the middle: {size} bytes are left",
            hint=f"lifeboat prune --repository {self._place.name} --plan",
        )

    def _is_still_a_backup_without(self, key: str, *, may_be_there: bool = False) -> bool:
        """Whether a second look says the same: it may be removed, or have been listed while it was copied."""
        try:
            content = look_into(self._place.storage, self._folder)
        except StorageError:
            return True
        return content.is_backup and (may_be_there or key not in content.objects)

    def _repair_hint(self) -> str:
        others = [one.name for one in self._looking.request.repositories if one.name != self._place.name]
        if not others:
            return "Keep older backups, and make a new one: lifeboat backup"
        return f"Replace it by another copy: lifeboat copy --to {self._place.name} --repair"

    def _add(self, code: str, name: str, message: str, *, hint: str = "") -> None:
        self._looking.findings.add(code, self._folder.key(name), message, hint=hint)
