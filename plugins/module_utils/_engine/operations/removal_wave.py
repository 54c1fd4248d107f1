# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some backups on their way out together: who stands against it, and the order of deletes. See :mod:`prune_backups`."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..catalog.folder_content import FolderContent, is_note
from ..catalog.kept_reasons import kept_reasons
from ..catalog.layout import MANIFEST, BackupFolder, Series
from ..catalog.removal import removal_id_of
from ..catalog.sweep_mark import is_mark
from ..core.clock import parse_time
from ..core.errors import LifeboatError, WalgRemovalLocked
from ..core.progress import Progress
from ..storage.base import DeleteReport
from ..storage.s3_parallel import at_once
from .emptying import Emptier
from .increments import Increments
from .removal_marks import Marks
from .removing import Candidate, Marked, Tally
from .vendor_removals import Going, VendorRemovals

_T = t.TypeVar("_T")
_AT_ONCE = 8


@dataclass(frozen=True)
class Wave:
    """Removes candidates of one repository. *elsewhere* says of an id whether another repository has the backup.

    *counted_on* are verified backups that stay, by series: that there are so many of them lets others go. *must_stop*
    says that the time is up. *vendors* remove what lies in the storage of a vendor's tool.
    """

    marks: Marks
    emptier: Emptier
    increments: Increments
    counted_on: t.Mapping[Series, t.Sequence[BackupFolder]]
    elsewhere: t.Callable[[str], bool]
    must_stop: t.Callable[[], bool]
    progress: Progress
    tally: Tally
    vendors: VendorRemovals | None = None

    def remove(self, candidates: t.Sequence[Candidate]) -> None:
        """Remove them, as far as nothing stands against it. Raises what the storage raises: run it again then."""
        marked = self._mark(self._without_objections([one for one in candidates if self._may_be_deleted(one)]))
        marked = self._with_those_built_on(self._with_those_counted_on(marked))
        self.tally.spared.update(self._take_back([one for one in marked if one.stays]))
        going = [one for one in marked if not one.stays]
        for generation in generations(going, lambda one: one.candidate):
            if self.must_stop():
                # Before anybody takes our marks for those of the dead.
                left = {*self.tally.removed, *self.tally.refused, *self.tally.deferred, *self.tally.spared}
                self._show_again([one for one in going if one.backup_id not in left])
                return
            self.delete(generation)

    def forget(self, contents: t.Sequence[FolderContent]) -> None:
        """Take away the marks of copies that were removed earlier; one stays if another repository has the backup."""
        self._unmark([(one, one.policy_removals[-1]) for one in contents])

    def _mark(self, candidates: t.Sequence[Candidate]) -> list[Marked]:
        """Increments before what they build on: none is shown whose base is not, wherever we die."""
        marked: list[Marked] = []
        for generation in generations(candidates, lambda one: one):
            found = at_once(self.marks.put, generation, most=_AT_ONCE)
            for candidate, one in zip(generation, found):
                if one is None:
                    self.tally.note_stays(candidate)
                else:
                    marked.append(one)
        return marked

    def _take_back(self, marked: t.Sequence[Marked]) -> dict[str, str]:
        """The other way round."""
        reasons: dict[str, str] = {}
        for generation in reversed(list(generations(marked, lambda one: one.candidate))):
            reasons.update(self.marks.take_back(generation))
        return reasons

    def _may_be_deleted(self, candidate: Candidate) -> bool:
        reason = self.marks.prove(candidate.folder.series)
        if reason:
            self.tally.refused[candidate.backup_id] = reason
            self.tally.note_stays(candidate)
        return not reason

    def _without_objections(self, candidates: t.Sequence[Candidate]) -> list[Candidate]:
        """Those whose data a vendor's tool will remove, too, or needn't; before anything is marked."""
        going = self._going(candidates)
        objections = self.vendors.objections(going) if self.vendors is not None and going else {}
        # What they build on stays with them: :meth:`_with_those_built_on` sees to it.
        for one in candidates:
            if one.backup_id in objections:
                self._refuse(one, objections[one.backup_id])
        return [one for one in candidates if one.backup_id not in objections]

    def _going(self, candidates: t.Iterable[Candidate]) -> list[Going]:
        """Of these, the data that lies with a vendor's tool, and that no other repository names."""
        vendors = self.vendors
        return (
            []
            if vendors is None
            else [
                Going(backup=one.vendor, source=(one.folder.series.service, one.folder.series.source))
                for one in candidates
                if one.vendor is not None and not vendors.named_elsewhere(one.backup_id)
            ]
        )

    def _refuse(self, candidate: Candidate, error: LifeboatError) -> None:
        if isinstance(error, WalgRemovalLocked):
            until = error.details["until"]
            self.tally.deferred[candidate.backup_id] = parse_time(until) if until else None
            self.tally.note_stays(candidate)
            return
        self.tally.refused[candidate.backup_id] = f"{error.message} [{error.code}]"
        self.tally.note_causes([error])
        self.tally.note_stays(candidate)

    def _with_those_counted_on(self, marked: t.Sequence[Marked]) -> list[Marked]:
        """The same, with a reason to stay for a whole series when what stays of it is not what it was when planned.

        Another run that removes one of those has marked it before, or looks for ours after.
        """
        losses: dict[Series, str] = {}
        for series in {one.candidate.folder.series for one in marked}:
            found = at_once(self.marks.loss_of, self.counted_on.get(series, ()), most=_AT_ONCE)
            losses[series] = next((loss for loss in found if loss), "")
        return [replace(one, stays=one.stays or losses[one.candidate.folder.series]) for one in marked]

    def _with_those_built_on(self, marked: t.Sequence[Marked]) -> list[Marked]:
        """The same, with a reason to stay for each that something builds on which stays."""
        ours = {one.candidate.folder for one in marked}
        by_source: dict[tuple[str, str], set[str]] = {}
        for one in marked:
            # What has no manifest any more can't be built on.
            if one.content.has_manifest:
                series = one.candidate.folder.series
                by_source.setdefault((series.service, series.source), set()).add(one.backup_id)
        built_on: dict[str, str] = {}
        for source, ids in by_source.items():
            built_on.update(self.increments.building_on(ids, source=source, but=ours))
        stays = {one.backup_id: one.stays for one in marked}
        needed = {**built_on, **self.tally.needed}
        again = True
        while again:
            again = False
            for one in marked:
                if not stays[one.backup_id] and one.backup_id in needed and one.content.has_manifest:
                    stays[one.backup_id] = f"{needed[one.backup_id]} builds on it"
                for base in one.candidate.needs if stays[one.backup_id] else ():
                    if base not in needed:
                        needed[base] = one.backup_id
                        again = True
        return [replace(one, stays=stays[one.backup_id]) for one in marked]

    def delete(self, generation: t.Sequence[Marked]) -> None:
        """Delete copies that are marked, and of which none builds on another."""
        needed = [one for one in generation if one.is_ours and self._is_needed(one)]
        stays = [replace(one, stays=f"{self.tally.needed[one.backup_id]} builds on it") for one in needed]
        self.tally.spared.update(self._take_back(stays))
        going = [one for one in generation if one not in needed]
        # As long as all payloads are there, nothing else is gone either: so it can be told whether a copy is whole.
        payloads = {one.candidate.folder: one.content.payloads for one in going}
        report = self.emptier.delete(payloads, also_old=_is_payload)
        self._count(going, report)
        self._show_again([one for one in going if one.is_ours and _is_untouched(one, report)])
        # From here on the copy is unfinished for whoever looks, until the vendor's tool has removed the data as well.
        going = self._without_data([one for one in going if not self._keeps(one, report)])
        notes = {one.candidate.folder: one.content.notes for one in going}
        report = self.emptier.delete(notes, also_old=_goes_first)
        self._count(going, report)
        emptied = [one for one in going if not self._keeps(one, report)]
        manifests = {one.candidate.folder: _manifest(one) for one in emptied}
        report = self.emptier.delete(manifests, also_old=_is_manifest)
        self._count(emptied, report)
        gone = [one for one in emptied if not self._keeps(one, report)]
        self._unmark([(one.content, one.mark) for one in gone])
        self.tally.removed.extend(one.backup_id for one in gone)

    def _without_data(self, marked: t.Sequence[Marked]) -> list[Marked]:
        """Those of which the data with a vendor's tool is gone, or there never was any."""
        # Behind the manifest nothing of it is left: that goes last.
        going = self._going(one.candidate for one in marked if one.content.has_manifest)
        failed = self.vendors.remove(going) if self.vendors is not None and going else {}
        for one in marked:
            if one.backup_id in failed:
                self._refuse(one.candidate, failed[one.backup_id])
        return [one for one in marked if one.backup_id not in failed]

    def _is_needed(self, one: Marked) -> bool:
        return one.content.has_manifest and one.backup_id in self.tally.needed

    def _show_again(self, marked: t.Sequence[Marked]) -> None:
        """Nothing of them was deleted, so they are backups as before."""
        for backup_id, reason in self._take_back(marked).items():
            if reason:
                self.tally.refused[backup_id] = reason.lstrip("; ")

    def _keeps(self, one: Marked, report: DeleteReport) -> bool:
        """Whether something of it could not be deleted; notes why."""
        reasons = kept_reasons(report)
        prefix = one.candidate.folder.key("")
        kept = sorted(key for key in reasons if key.startswith(prefix))
        if not kept:
            return False
        self.tally.note_causes(report.causes)
        self.tally.note_stays(one.candidate)
        if all(key in report.deferred for key in kept):
            dates = [report.deferred[key] for key in kept]
            known = [date for date in dates if date is not None]
            self.tally.deferred[one.backup_id] = max(known) if len(known) == len(dates) else None
        else:
            first = next(key for key in kept if key in report.refused)
            self.tally.refused.setdefault(one.backup_id, f"{first[len(prefix) :]}: {reasons[first]}")
        return True

    def _unmark(self, copies: t.Sequence[tuple[FolderContent, str]]) -> None:
        """Take the marks off what is gone; of each, the given one stays while another repository has the backup."""
        keys: dict[BackupFolder, list[str]] = {}
        staying: set[str] = set()
        for content, mark in copies:
            if self.elsewhere(content.folder.backup_id):
                staying.add(mark)
            marks = [key for key in [*content.policy_removals, *content.sweeps] if key not in staying]
            if marks:
                keys[content.folder] = marks
        if keys:
            report = self.emptier.delete(keys, also_old=lambda key: _is_mark(key) and key not in staying)
            self.tally.note_causes(report.causes)

    def _count(self, marked: t.Iterable[Marked], report: DeleteReport) -> None:
        sizes = {key: found.size for one in marked for key, found in one.content.objects.items()}
        deleted = sum(sizes.get(key, 0) for key in report.deleted)
        self.tally.bytes += deleted
        self.progress.add(done=deleted)


def _manifest(one: Marked) -> list[str]:
    return [one.candidate.folder.manifest_key] if one.content.has_manifest else []


def _is_untouched(one: Marked, report: DeleteReport) -> bool:
    payloads = one.content.payloads
    return one.content.has_manifest and bool(payloads) and not any(key in report.deleted for key in payloads)


def _is_manifest(key: str) -> bool:
    return key.endswith(f"/{MANIFEST}")


def _is_mark(key: str) -> bool:
    return removal_id_of(key) is not None or is_mark(key)


def _is_payload(key: str) -> bool:
    return _goes_first(key) and not is_note(key)


def _goes_first(key: str) -> bool:
    return not _is_manifest(key) and not _is_mark(key)


def generations(things: t.Sequence[_T], candidate_of: t.Callable[[_T], Candidate]) -> t.Iterator[list[_T]]:
    """Increments before what they build on: nothing builds on what is in its own generation or in an earlier one."""
    left = {candidate_of(thing).backup_id: thing for thing in things}
    while left:
        parents = {base for thing in left.values() for base in candidate_of(thing).needs}
        # A circle can't be; were there one, it would be one generation.
        generation = [backup_id for backup_id in left if backup_id not in parents] or list(left)
        yield [left.pop(backup_id) for backup_id in generation]
