# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copies of one backup that may be read, the next one when one fails, and what retention does to them meanwhile."""

from __future__ import annotations

import typing as t

from ..catalog.folder_content import FolderContent, look_into
from ..catalog.layout import RESTORE_NOTES
from ..catalog.manifest import Manifest, parse_manifest
from ..core.errors import BackupRemoved, LifeboatError, ManifestInvalid, ManifestTooNew, StorageNotFound
from ..core.journal import Journal
from .copy_object import Place, SourceFailed, read_document

_T = t.TypeVar("_T")


class AllRemoved(Exception):
    """Every copy that could be read is being removed by retention: nobody is to blame."""


class BackupSources:
    """The copies of a backup, in the order in which they are tried; one that can't be read is not asked again."""

    def __init__(self, manifest: Manifest, places: t.Sequence[Place], *, journal: Journal) -> None:
        self._manifest = manifest
        self._folder = manifest.folder
        self._places = list(places)
        self._journal = journal
        self.used: Place | None = None  # the last one that did what it was asked

    def first(self, step: t.Callable[[Place], _T]) -> _T:
        """Do *step* with the first copy that can.

        Raises AllRemoved when none is left because retention removed them, else SourceFailed with the first reason.
        """
        failures: list[SourceFailed] = []
        while self._places:
            place = self._places[0]
            try:
                answer = step(place)
                self.used = place
                return answer
            except SourceFailed as failed:
                failures.append(self._judged(failed, place))
                del self._places[0]
                if self._places:
                    self._journal.warning(
                        f"{self._manifest.backup_id} can't be copied from {place.name}, so {self._places[0].name} is "
                        f"tried: {failures[-1].error.message}"
                    )
        for failure in failures:
            if not isinstance(failure.error, BackupRemoved):
                raise failure
        raise AllRemoved

    def documents(self, place: Place) -> Documents:
        """All that is small, to be read before anything large: when the copy goes away meanwhile, it is known already.

        Raises SourceFailed.
        """
        content = self._content_of(place)
        data = read_document(place, self._folder.manifest_key)
        try:
            if parse_manifest(data, folder=self._folder) != self._manifest:
                raise ManifestInvalid(
                    f"The manifest of {self._manifest.backup_id} in {place.name} is not the one that was read before.",
                    hint=f"Compare them: lifeboat show {self._manifest.backup_id} --repository {place.name}",
                )
        except (ManifestInvalid, ManifestTooNew) as error:
            raise SourceFailed(error, source=place.name) from error
        notes = self._folder.key(RESTORE_NOTES)
        if notes not in content.objects:
            self._journal.warning(f"{place.name}: {notes} is missing there.")
        found = self._read_small(place, content, [notes] if notes in content.objects else [])
        for other in self._places:
            if other.name != place.name:
                self._add_of_other(other, found)
        return Documents(manifest=data, rest=found)

    def _add_of_other(self, place: Place, found: dict[str, bytes]) -> None:
        """What was noted of the backup in another repository only: a failed verification, a pin."""
        try:
            content = self._content_of(place)
            for key, data in self._read_small(place, content, []).items():
                found.setdefault(key, data)
        except SourceFailed as failed:
            if not isinstance(failed.error, BackupRemoved):
                self._journal.warning(
                    f"Verifications and pins of {self._manifest.backup_id} in {place.name} could not be read: "
                    f"{failed.error.message}"
                )

    def _read_small(self, place: Place, content: FolderContent, more: t.Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for key in (*more, *content.verifications, *content.pins):
            try:
                found[key] = read_document(place, key)
            except SourceFailed as failed:
                # Taken away meanwhile: a pin is, and with all the rest the manifest is gone as well.
                if not isinstance(failed.error, StorageNotFound) or key in self._content_of(place).objects:
                    raise
        return found

    def _content_of(self, place: Place) -> FolderContent:
        try:
            content = look_into(place.storage, self._folder)
        except LifeboatError as error:
            raise SourceFailed(error, source=place.name) from error
        if not content.is_backup:
            raise SourceFailed(
                BackupRemoved(
                    f"{self._manifest.backup_id} was removed from {place.name} meanwhile.",
                    hint="What is to stay, pin beforehand: lifeboat pin ID --reason WHY",
                ),
                source=place.name,
            )
        return content

    def _judged(self, failed: SourceFailed, place: Place) -> SourceFailed:
        """What is not there because retention removes it just now is not damaged."""
        if not isinstance(failed.error, StorageNotFound):
            return failed
        try:
            self._content_of(place)
        except SourceFailed as other:
            return other
        return failed


class Documents(t.NamedTuple):
    """The manifest's bytes, and those of RESTORE.md, verifications and pins by key."""

    manifest: bytes
    rest: t.Mapping[str, bytes]
