# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks on copies that are being removed: put before anything is looked at, taken back when it must stay after all."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import replace

from ..catalog.copies import MOST_VERIFICATIONS, read_pin
from ..catalog.folder_content import FolderContent, look_closely_into, look_into
from ..catalog.kept_reasons import kept_reasons
from ..catalog.layout import BackupFolder, Series
from ..catalog.pin import unreadable_pin
from ..catalog.removal import Removal, removal_key
from ..catalog.verification import parse_verification, verification_id_of
from ..core.clock import format_time
from ..core.errors import PinInvalid, StorageError, StorageForbidden, StorageNotFound, VerificationInvalid
from ..core.host import Host
from ..core.version import VERSION
from ..storage.base import DeleteReport, Storage
from .emptying import Emptier
from .prune_lease import VOID_AFTER
from .removing import Candidate, Marked, Tally

#: Below the folder of a series; see :meth:`Marks.prove`.
PROOF = "removal-check.json"


class Marks:
    """The marks of one run, *removal_id*, in *repository*. *now* is aware UTC by the storage's clock.

    *known* are the verifications of each backup, by their ids, that were known when it was decided what goes; None:
    nobody knows. *others* are the other repositories, where verifications of this one's copies lie, too.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        repository: str,
        removal_id: str,
        host: Host,
        emptier: Emptier,
        now: datetime.datetime,
        known: t.Mapping[str, t.AbstractSet[str]] | None,
        tally: Tally,
        others: t.Sequence[Storage] = (),
    ) -> None:
        self._storage = storage
        self._others = others
        self._repository = repository
        self._removal_id = removal_id
        self._host = host
        self._emptier = emptier
        self._now = now
        self._known = known
        self._tally = tally
        self._proved: dict[Series, str] = {}

    def prove(self, series: Series) -> str:
        """Why nothing may be deleted in that series, empty when it may: found out with an object of no worth.

        Otherwise a pruner without that permission would mark backups that he could neither remove nor unmark.
        """
        if series not in self._proved:
            key = f"{series.folder}{PROOF}"
            try:
                self._storage.put(key, b"{}\n", if_absent=False)
                report = self._storage.delete([key])
                self._tally.note_causes(report.causes)
                self._proved[series] = kept_reasons(report).get(key, "") or self._versions_refused(key)
            except StorageForbidden as error:
                self._tally.note_causes([error])
                self._proved[series] = error.message
        return self._proved[series]

    def put(self, candidate: Candidate) -> Marked | None:
        """Mark it, then look what is there and which pins there are. None: it can't be marked, or is under lock."""
        folder = candidate.folder
        if self._is_locked(candidate):
            return None
        removal = Removal(
            removal_id=self._removal_id,
            backup_id=folder.backup_id,
            repository=self._repository,
            plan_hash=candidate.plan_hash,
            reasons=candidate.reasons,
            started=self._host.clock.now(),
            host=self._host.name,
            lifeboat_version=VERSION,
        )
        mark = removal_key(folder, self._removal_id)
        try:
            self._storage.put(mark, removal.as_bytes(), if_absent=False)
        except StorageForbidden as error:
            self._tally.refused[folder.backup_id] = error.message
            self._tally.note_causes([error])
            return None
        marked = Marked(candidate=candidate, mark=mark, content=look_into(self._storage, folder))
        if not marked.content.has_manifest:
            return marked  # another run was quicker
        stays = self._pinned(marked.content) or self.news_of(marked.content) or self._news_elsewhere(candidate)
        return replace(marked, stays=stays)

    def take_back(self, marked: t.Sequence[Marked]) -> dict[str, str]:
        """Unmark what stays, and note that what it builds on has to stay; why each stays, by its id."""
        # By markers where old versions are kept: what is locked can be unmarked so, too.
        report = self._storage.delete([one.mark for one in marked]) if marked else DeleteReport()
        kept = kept_reasons(report)
        self._tally.note_causes(report.causes)
        reasons = {}
        for one in marked:
            self._tally.note_stays(one.candidate)
            reasons[one.backup_id] = one.stays
            if one.mark in kept:
                reasons[one.backup_id] += f"; and its mark can't be taken back: {kept[one.mark]}"
            elif len(one.content.policy_removals) > 1:
                reasons[one.backup_id] += f"; {unseen_until(one.content, but=one.mark)}"
        return reasons

    def _versions_refused(self, key: str) -> str:
        """Why versions may not be deleted, where that is to be done. A lock on this one is no reason."""
        report = self._emptier.delete_old(key)
        self._tally.note_causes(report.causes)
        return report.refused.get(key, "")

    def _is_locked(self, candidate: Candidate) -> bool:
        """The manifest was written last, so its lock ends last."""
        if not self._storage.properties.locks:
            return False
        try:
            lock = self._storage.lock_state(candidate.folder.manifest_key)
        except StorageNotFound:
            return False
        if lock is None or not lock.binds(self._now):
            return False
        self._tally.deferred[candidate.backup_id] = None if lock.hold else lock.until
        return True

    def _news_elsewhere(self, candidate: Candidate) -> str:
        """The same of the other repositories, for one that failed: a verification is stored in one after the other."""
        if not candidate.has_failed:
            return ""
        for storage in self._others:
            try:
                news = self.news_of(look_into(storage, candidate.folder), storage=storage)
            except StorageError as error:
                return f"whether it was verified meanwhile can't be seen: {error.message}"
            if news:
                return news
        return ""

    def news_of(self, content: FolderContent, *, storage: Storage | None = None) -> str:
        """That the backup was verified since it was planned, in words: nobody knows what would be planned now.

        *content* is of *storage*, of the marks' own when that is left out.
        """
        if self._known is None:
            return ""
        backup_id = content.folder.backup_id
        known = self._known.get(backup_id, frozenset())
        for key in content.verifications[-MOST_VERIFICATIONS:]:
            if verification_id_of(key) in known:
                continue
            try:
                parse_verification((storage or self._storage).get(key), key=key, backup_id=backup_id)
                return "it was verified meanwhile: plan again"
            except (StorageNotFound, VerificationInvalid):
                continue
        return ""

    def loss_of(self, folder: BackupFolder) -> str:
        """Why a backup that stays can't be counted on any more, in words; empty when it can."""
        content = look_closely_into(self._storage, folder)
        if not content.is_backup:
            return f"{folder.backup_id}, which the plan counts on, is no longer there, or being removed: plan again"
        if self.news_of(content):
            return f"{folder.backup_id}, which the plan counts on, was verified meanwhile: plan again"
        return ""

    def _pinned(self, content: FolderContent) -> str:
        """Which pin keeps it, in words; empty when none does."""
        backup_id = content.folder.backup_id
        for key in content.pins:
            try:
                pin = read_pin(self._storage, key, backup_id=backup_id)
            except PinInvalid:
                pin = unreadable_pin(key, backup_id=backup_id)
            if pin is not None and pin.is_in_force(self._now):
                return f"pinned by {pin.by or 'somebody'} ({pin.pin_id}): {pin.reason}"
        return ""


def unseen_until(content: FolderContent, *, but: str = "") -> str:
    """When the marks of runs are void that may be at work, in words; *but* one."""
    void = max(content.objects[key].modified for key in content.policy_removals if key != but) + VOID_AFTER
    return f"no list shows it before the mark of another run is void, at {format_time(void)}"
