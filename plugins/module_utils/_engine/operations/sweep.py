# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to nothing: folders of runs and copies that died long ago, unfinished uploads. All of it is shown.

The segments and records of streams are not looked at here: what of them is no longer needed goes with their hours
(:mod:`prune_stream`), and what no record names is found by :mod:`stray_segments`. What Lifeboat can't have written is
shown and left alone.
"""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import dataclass, replace

from ..catalog.catalog import Selection, find_series
from ..catalog.clearing import Sweep, abort, clear_folder
from ..catalog.folder_content import FolderContent
from ..catalog.kept_reasons import kept_reasons
from ..catalog.layout import BackupFolder, Series, parse_key
from ..catalog.sweep_mark import mark_key
from ..core.description.kinds import STREAMED_KINDS
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.ids import new_backup_id
from ..storage.base import ObjectInfo, ObjectVersion, Storage, Unfinished
from .removal_marks import PROOF
from .removing import ALL, CURRENT

FOLDER, UPLOAD, OLD_VERSIONS, NOTE = "folder without a manifest", "unfinished upload", "old versions", "note to others"
_STREAMED = frozenset(kind for kinds in STREAMED_KINDS.values() for kind in kinds)


@dataclass(frozen=True)
class Orphan:
    """Something that belongs to nothing. *place* is a key, or a folder ending in a slash; *bytes* where they are known.

    *newest* is when something was last written there, by the storage's clock. *is_removed* is False where it was only
    looked for, and where it can't be removed: *kept* says why.
    """

    place: str
    what: str
    objects: int
    bytes: int | None
    newest: datetime.datetime
    is_removed: bool = False
    kept: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "place": self.place,
            "what": self.what,
            "objects": self.objects,
            "bytes": self.bytes,
            "newest": self.newest.isoformat().replace("+00:00", "Z"),
            "removed": self.is_removed,
            "kept": self.kept,
        }


@dataclass(frozen=True)
class Swept:
    """What was found, and how much of it is gone. *strange* are keys that Lifeboat can't have written: left alone.

    *more* were found than are named; a later run looks at them. *error* ended it early.
    """

    orphans: tuple[Orphan, ...] = ()
    strange: tuple[str, ...] = ()
    error: LifeboatError | None = None
    more: int = 0

    def with_more(self, other: Swept) -> Swept:
        """Both together."""
        return Swept(
            orphans=self.orphans + other.orphans,
            strange=self.strange + other.strange,
            error=self.error or other.error,
            more=self.more + other.more,
        )

    @property
    def bytes(self) -> int:
        """Of what was removed, as far as known."""
        return sum(one.bytes or 0 for one in self.orphans if one.is_removed)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "orphans": [one.as_dict() for one in self.orphans],
            "strange": list(self.strange),
            "more": self.more,
            "bytes": self.bytes,
            "error": self.error.as_dict() if self.error else None,
        }


def sweep_orphans(
    storage: Storage, *, older_than: datetime.timedelta, host: Host, apply: bool, versions: str = CURRENT
) -> Swept:
    """Find what belongs to nothing and to which nothing was added for *older_than*; with *apply* remove it.

    No run and no copy may last longer than *older_than* without storing anything. *versions* ``all``: also what the
    storage kept of folders of which no object is left. The note of a removal by policy, and what is beside it, belongs
    to the retention that began it (:func:`prune_backups.finish_removals`).

    Raises nothing that a repository does: it is the result's *error*.
    """
    run = _Sweeping(storage, older_than=older_than, host=host, apply=apply)
    try:
        run.begin()
        run.folders()
        run.uploads()
        if versions == ALL:
            run.old_versions()
    except LifeboatError as error:
        return replace(run.result(), error=error)
    return run.result()


class _Sweeping:
    def __init__(self, storage: Storage, *, older_than: datetime.timedelta, host: Host, apply: bool) -> None:
        self._storage = storage
        self._apply = apply
        now = host.clock.now()
        # An id of its own: unlike a run, we hold no lock of the source.
        self._owner = new_backup_id(now=now)
        self._horizon = now - older_than
        self._orphans: list[Orphan] = []
        self._strange: list[str] = []
        self._series: list[Series] = []
        self._uploads: list[Unfinished] = []

    def begin(self) -> None:
        """Ask for the storage's time, and what there is."""
        self._horizon += datetime.timedelta(seconds=self._storage.clock_skew())
        self._series = [one for one in find_series(self._storage, Selection()) if one.kind not in _STREAMED]
        self._uploads = list(self._storage.unfinished())

    def result(self) -> Swept:
        """What it has come to."""
        return Swept(orphans=tuple(self._orphans), strange=tuple(self._strange))

    def folders(self) -> None:
        """Those of backups that have neither a manifest nor the note of a removal."""
        for series in self._series:
            for folder, objects in self._grouped(series):
                content = FolderContent(folder=folder, objects={found.key: found for found in objects})
                if content.has_manifest or content.policy_removals:
                    self._delete_marks(content)
                elif self._is_dead(content):
                    self._clear(content)

    def uploads(self) -> None:
        """Those that were begun long ago, wherever."""
        for upload in self._uploads:
            if upload.started < self._horizon:
                sweep = Sweep()
                is_removed = self._apply and abort(self._storage, [upload], sweep)
                self._note(
                    Orphan(place=upload.key, what=UPLOAD, objects=1, bytes=None, newest=upload.started),
                    is_removed=is_removed,
                    kept=sweep.kept,
                )

    def old_versions(self) -> None:
        """Of folders in which nobody sees an object any more: also where no other folder is left of the series."""
        for folder, group in itertools.groupby(self._storage.versions(), key=_folder_of):
            if folder is None or folder.series.kind in _STREAMED:
                continue
            found = list(group)
            if any(one.is_latest and not one.is_marker for one in found):
                continue
            if max(one.modified for one in found) < self._horizon:
                self._delete_versions(folder, found)

    def _grouped(self, series: Series) -> t.Iterator[tuple[BackupFolder, list[ObjectInfo]]]:
        for folder, group in itertools.groupby(self._storage.list(series.folder), key=_folder_of):
            if folder is not None:
                yield folder, list(group)
                continue
            for found in group:
                if found.key == f"{series.folder}{PROOF}":
                    self._delete_note(found)
                else:
                    self._strange.append(found.key)

    def _is_dead(self, content: FolderContent) -> bool:
        """Nothing was added for long, marks of sweeps apart."""
        moments = [content.objects[key].modified for key in content.rest or content.sweeps]
        moments += [upload.started for upload in self._uploads_in(content.folder)]
        return all(moment < self._horizon for moment in moments)

    def _uploads_in(self, folder: BackupFolder) -> list[Unfinished]:
        prefix = folder.key("")
        return [upload for upload in self._uploads if upload.key.startswith(prefix)]

    def _clear(self, content: FolderContent) -> None:
        folder, objects = content.folder, content.objects.values()
        orphan = Orphan(
            place=folder.key(""),
            what=FOLDER,
            objects=len(objects),
            bytes=sum(found.size for found in objects),
            newest=max(found.modified for found in objects),
        )
        if not self._apply:
            self._note(orphan)
            return
        sweep = Sweep()
        marked = clear_folder(
            self._storage,
            folder,
            owner=self._owner,
            uploads=self._uploads_in(folder),
            is_dead=lambda found: not found.rest or self._is_dead(found),
            sweep=sweep,
        )
        # Ours, and those of whom nobody is at work any more.
        ours = mark_key(folder, self._owner)
        marks = [key for key in marked.sweeps if key == ours or marked.objects[key].modified < self._horizon]
        sweep.kept.update(kept_reasons(self._storage.delete(marks)))
        self._uploads = [upload for upload in self._uploads if not upload.key.startswith(folder.key(""))]
        is_gone = all(key in sweep.removed for key in marked.rest) and not sweep.kept and not marked.has_manifest
        self._note(orphan, is_removed=is_gone, kept=sweep.kept or {"": "" if is_gone else "somebody works on it"})

    def _delete_versions(self, folder: BackupFolder, versions: t.Sequence[ObjectVersion]) -> None:
        kept = kept_reasons(self._storage.delete_versions(versions)) if self._apply else {}
        orphan = Orphan(
            place=folder.key(""),
            what=OLD_VERSIONS,
            objects=len(versions),
            bytes=sum(one.size for one in versions),
            newest=max(one.modified for one in versions),
        )
        self._note(orphan, is_removed=self._apply and not kept, kept=kept)

    def _delete_marks(self, content: FolderContent) -> None:
        """Those of sweeps that died: they are no part of a backup."""
        for key in content.sweeps:
            if content.objects[key].modified < self._horizon:
                self._delete_note(content.objects[key])

    def _delete_note(self, found: ObjectInfo) -> None:
        if found.modified < self._horizon:
            kept = kept_reasons(self._storage.delete([found.key])) if self._apply else {}
            orphan = Orphan(place=found.key, what=NOTE, objects=1, bytes=found.size, newest=found.modified)
            self._note(orphan, is_removed=self._apply and not kept, kept=kept)

    def _note(self, orphan: Orphan, *, is_removed: bool = False, kept: t.Mapping[str, str] | None = None) -> None:
        reason = next(iter((kept or {}).values()), "")
        self._orphans.append(replace(orphan, is_removed=is_removed, kept=reason))


def _folder_of(found: ObjectInfo | ObjectVersion) -> BackupFolder | None:
    parts = parse_key(found.key)
    return parts.folder if parts else None


__all__ = ("Orphan", "Swept", "sweep_orphans")
