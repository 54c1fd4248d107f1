# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing the copies of backups that a plan says go, from one repository, so that dying anywhere does no harm.

The order of things, for some backups at a time (:mod:`removal_wave`):

1. Each is marked: ``removal-<id>.json``, a name of this run alone. No list shows it from now on, no increment begins to
   build on it, nobody can pin it any more.
2. Only then it is looked who stands against it: a pin, an increment that began before. What has to stay is unmarked
   again, and so is what it builds on.
3. Of the others, increments before what they build on: payloads, then what a vendor's tool has of it
   (:mod:`vendor_removals`), notes, verifications, ``started.json`` and pins, then ``manifest.json``, at last the mark,
   unless another repository has the backup: then it says that this copy is not missing.

Whoever makes an increment or a pin writes first and looks for marks then: whoever comes second sees the other. Nobody
takes back another's mark before it is older than any pruner lives, nor his own once he has begun to delete. So however
many do this at once, and wherever they die, nothing is shown again of which something is gone. What a run that died
has left is sorted by the next one (:mod:`unfinished_removals`).
"""

from __future__ import annotations

import datetime
import typing as t

from ..catalog.layout import BackupFolder, Series
from ..catalog.removal import REMOVED, RemovedCopy
from ..catalog.standing import FAILED, VERIFIED
from ..core.clock import format_time
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.ids import new_backup_id
from ..core.journal import Journal
from ..core.progress import Progress
from ..retention.values import KEPT, Decision
from ..storage.base import Storage
from .emptying import Emptier
from .increments import Increments
from .prune_lease import Lease
from .removal_marks import Marks
from .removal_wave import Wave
from .removing import ALL, CURRENT, Candidate, Removed, Tally
from .unfinished_removals import show_again, sort_unfinished
from .vendor_removals import VendorRemovals

# So many are out of sight at the same time when the run dies.
_WAVE = 500
# Of each series; more than any policy asks for (minimum_verified).
_COUNTED_ON = 10


def remove_backups(
    storage: Storage,
    removals: t.Sequence[Decision],
    *,
    repository: str,
    elsewhere: t.Callable[[str], bool],
    plan_hash: str,
    host: Host,
    journal: Journal,
    progress: Progress,
    versions: str = CURRENT,
    deadline: datetime.datetime,
    known: t.AbstractSet[str] = frozenset(),
    verifications: t.Mapping[str, t.AbstractSet[str]] | None = None,
    kept: t.Sequence[Decision] = (),
    lease: Lease | None = None,
    vendors: VendorRemovals | None = None,
    others: t.Sequence[Storage] = (),
) -> Removed:
    """Remove these copies from the repository of that name.

    *removals* hold with every backup all that builds on it. *elsewhere* says of an id whether another repository has
    the backup, or may have it. *versions* ``all``: older versions and delete markers go, too. No further ones are begun
    at *deadline* (aware UTC, this host's clock), nor when *lease* is not ours any more. *known* are the ids of the
    backups that the plan knew in this repository: these need not be looked at again. *verifications* are, by the id of
    the backup, the ids of those that it knew: what was verified since stays, as nobody knows what would be planned now.
    *kept* are the plan's decisions for what stays: nothing of a series goes when one of the newest verified of these is
    gone, or was verified since. *others* are the other repositories: one that failed stays when they say that it was
    verified since. *vendors* remove the data that lies in the storage of a vendor's tool.

    Raises nothing that a repository does: it is the result's *error*, and what was done until then is in the result.
    """
    run = _Run(
        storage,
        repository=repository,
        elsewhere=elsewhere,
        host=host,
        journal=journal,
        progress=progress,
        versions=versions,
        deadline=deadline,
        known=known,
        verifications=verifications,
        counted_on=_counted_on(kept),
        lease=lease,
        vendors=vendors,
        others=others,
    )
    candidates = [
        Candidate(
            folder=decision.entry.series.backup(decision.entry.backup_id),
            reasons=decision.reasons,
            parent=decision.entry.parent,
            plan_hash=plan_hash,
            vendor=decision.entry.vendor,
            has_failed=decision.entry.state == FAILED,
            members=tuple(member.backup_id for member in decision.entry.members),
        )
        for decision in removals
    ]
    return run.remove(candidates)


def finish_removals(
    storage: Storage,
    begun: t.Sequence[RemovedCopy],
    *,
    repository: str,
    elsewhere: t.Callable[[str], bool],
    host: Host,
    journal: Journal,
    progress: Progress,
    versions: str = CURRENT,
    deadline: datetime.datetime,
    lease: Lease | None = None,
    vendors: VendorRemovals | None = None,
) -> Removed:
    """Go on with what earlier runs began: *begun* are the catalog's removals; those of other repositories don't count.

    Of what a part is gone, the rest goes. What is whole is shown again, once its marks are older than a pruner lives,
    for a plan to decide anew: do this before reading what is planned from. What was removed long ago, and is nowhere
    else any more, is forgotten: its mark goes. The rest as in :func:`remove_backups`.
    """
    run = _Run(
        storage,
        repository=repository,
        elsewhere=elsewhere,
        host=host,
        journal=journal,
        progress=progress,
        versions=versions,
        deadline=deadline,
        known=frozenset(),
        verifications=None,
        counted_on={},
        lease=lease,
        vendors=vendors,
    )
    return run.finish([copy for copy in begun if copy.repository == repository])


class _Run:
    def __init__(
        self,
        storage: Storage,
        *,
        repository: str,
        elsewhere: t.Callable[[str], bool],
        host: Host,
        journal: Journal,
        progress: Progress,
        versions: str,
        deadline: datetime.datetime,
        known: t.AbstractSet[str],
        verifications: t.Mapping[str, t.AbstractSet[str]] | None,
        counted_on: t.Mapping[Series, t.Sequence[BackupFolder]],
        lease: Lease | None,
        vendors: VendorRemovals | None,
        others: t.Sequence[Storage] = (),
    ) -> None:
        self._storage = storage
        self._repository = repository
        self._elsewhere = elsewhere
        self._host = host
        self._journal = journal
        self._progress = progress
        self._emptier = Emptier(storage, everything=versions == ALL)
        self._deadline = deadline
        self._known = known
        self._verifications = verifications
        self._counted_on = counted_on
        self._lease = lease
        self._vendors = vendors
        self._others = others
        self._tally = Tally()
        self._stopped = ""  # why, in words

    def remove(self, candidates: t.Sequence[Candidate]) -> Removed:
        """Wave after wave, increments before what they build on."""
        if not candidates:
            return Removed()
        return self._carefully([one.backup_id for one in candidates], lambda: self._remove(candidates, self._wave()))

    def finish(self, begun: t.Sequence[RemovedCopy]) -> Removed:
        """The same for what is marked already."""
        if not begun:
            return Removed()
        unfinished = [one.folder.backup_id for one in begun if one.state != REMOVED]
        return self._carefully(unfinished, lambda: self._finish(begun))

    def _carefully(self, ids: t.Sequence[str], work: t.Callable[[], None]) -> Removed:
        self._progress.stage(f"removing from {self._repository}")
        try:
            work()
        except LifeboatError as error:
            error.details.setdefault("repository", self._repository)
            self._journal.warning(f"{self._repository}: the removal ended early: {error.message} [{error.code}]")
            self._tally.error = error
        tally = self._tally
        done = {*tally.removed, *tally.deferred, *tally.spared, *tally.refused}
        tally.left = [backup_id for backup_id in ids if backup_id not in done]
        return tally.result()

    def _remove(self, candidates: t.Sequence[Candidate], wave: Wave) -> None:
        ordered = _children_first(candidates)
        for start in range(0, len(ordered), _WAVE):
            if self._must_stop():
                return
            wave.remove(ordered[start : start + _WAVE])

    def _finish(self, begun: t.Sequence[RemovedCopy]) -> None:
        unfinished = sort_unfinished(self._storage, begun, elsewhere=self._elsewhere, tally=self._tally)
        if not unfinished or self._must_stop():
            return
        wave = self._wave()
        wave.forget(unfinished.gone)
        show_again(self._storage, unfinished.whole, now=self._storage_now(), tally=self._tally)
        for start in range(0, len(unfinished.going), _WAVE):
            if self._must_stop():
                return
            wave.delete(unfinished.going[start : start + _WAVE])

    def _wave(self) -> Wave:
        self._storage.check()  # also finds out about locks and versions
        now = self._storage_now()
        marks = Marks(
            storage=self._storage,
            repository=self._repository,
            removal_id=new_backup_id(now=self._host.clock.now()),
            host=self._host,
            emptier=self._emptier,
            now=now,
            known=self._verifications,
            tally=self._tally,
            others=self._others,
        )
        return Wave(
            marks=marks,
            emptier=self._emptier,
            increments=Increments(self._storage, known=self._known, now=now),
            counted_on=self._counted_on,
            elsewhere=self._elsewhere,
            must_stop=self._must_stop,
            progress=self._progress,
            tally=self._tally,
            vendors=self._vendors,
        )

    def _storage_now(self) -> datetime.datetime:
        return self._host.clock.now() + datetime.timedelta(seconds=self._storage.clock_skew())

    def _must_stop(self) -> bool:
        if not self._stopped:
            if self._host.clock.now() >= self._deadline:
                self._stopped = f"no more is removed after {format_time(self._deadline)}"
            elif self._lease is not None and not self._lease.is_ours():
                self._stopped = "somebody took the right to prune away"
            if self._stopped:
                self._journal.warning(f"{self._repository}: {self._stopped}; the next run goes on.")
        return bool(self._stopped)


def _counted_on(kept: t.Iterable[Decision]) -> dict[Series, list[BackupFolder]]:
    """Of each series the newest verified ones."""
    found: dict[Series, list[BackupFolder]] = {}
    for decision in sorted(kept, key=lambda one: (one.entry.started, one.entry.backup_id), reverse=True):
        entry = decision.entry
        if decision.verdict == KEPT and entry.state == VERIFIED:
            folders = found.setdefault(entry.series, [])
            if len(folders) < _COUNTED_ON:
                folders.append(entry.series.backup(entry.backup_id))
    return found


def _children_first(candidates: t.Sequence[Candidate]) -> list[Candidate]:
    """In the order given, but each behind all that build on it."""
    by_id = {one.backup_id: one for one in candidates}
    children: dict[str, list[Candidate]] = {}
    for one in candidates:
        for base in one.needs:
            if base in by_id:
                children.setdefault(base, []).append(one)
    ordered: dict[str, Candidate] = {}
    for one in candidates:
        # By hand: chains may be longer than Python's stack.
        waiting = [(one, False)]
        while waiting:
            current, is_ready = waiting.pop()
            if current.backup_id in ordered:
                continue
            if is_ready or not children.get(current.backup_id):
                ordered[current.backup_id] = current
            else:
                waiting.append((current, True))
                waiting += [(child, False) for child in children[current.backup_id]]
    return list(ordered.values())
