# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking through repositories: is everything there that their documents name, and nothing that they don't?

Each repository is listed once. Memory grows with its backups (some hundred bytes each) and not with its objects.
Nothing is changed, and no lock is held: what other runs do meanwhile is no finding.
"""

from __future__ import annotations

import collections
import concurrent.futures
import datetime
import itertools
import typing as t
from dataclasses import dataclass

from ..catalog.folder_content import FolderContent, look_into
from ..catalog.layout import BackupFolder, Series, parse_key
from ..catalog.removal import REMOVED
from ..core.clock import format_time
from ..core.errors import Interrupted, LifeboatError, StorageForbidden, StorageNotFound
from ..core.host import Host
from ..core.ids import is_backup_id, is_name
from ..core.parallel import wait_for
from ..core.progress import Progress, ProgressSink
from ..degraded.history import degraded_folder, parse_event
from ..failover.approval import PLAN, approvals_folder
from ..failover.approval_store import parse_stored_approval, parse_stored_plan
from ..failover.entry import failovers_folder, parse_entry
from ..recovery.label import labels_folder, parse_label
from ..recovery.label_pin import label_pin_in, parse_label_pin
from ..storage.base import CHECK_KEY, ObjectInfo, Storage
from ..storage.registry import open_storage
from ..streams.layout import StreamFolder
from .ahead import Stopping, workers
from .check_backups import BackupSeen, check_folder
from .check_streams import LineageCheck
from .check_values import CheckRequest, CheckResult, Finding, Findings, Looked, Looking, RepositoryChecked
from .copy_object import Place


class _Parse(t.Protocol):
    def __call__(self, data: bytes, *, key: str) -> t.Any: ...


#: What Lifeboat keeps for itself, beside services.
OWN_FOLDER = ".lifeboat/"
LABELS = ".labels"
FAILOVERS = ".failover"
DEGRADED = ".degraded"
# So many objects are looked at between two looks of whoever watches.
_SHOWN_EVERY = 10_000
# No upload lasts longer, whatever it is of.
_DEAD_UPLOAD = datetime.timedelta(days=1)

Storages = t.Mapping[str, Storage]


def check_repositories(
    request: CheckRequest, *, host: Host, show: ProgressSink | None = None, storages: Storages | None = None
) -> CheckResult:
    """Look through them, one after the other. Whatever is wrong is a finding; raises Interrupted alone.

    *storages* are the repositories by name where they are open already.
    """
    opened = storages or {
        one.name: open_storage(one.description, name=one.name, clock=host.clock, runner=host.runner)
        for one in request.repositories
    }
    progress = Progress(clock=host.clock, sink=show)
    names = [one.name for one in request.repositories if not request.only or one.name in request.only]
    runs = [
        _Repository(Place(name=name, storage=opened[name]), request, host=host, progress=progress) for name in names
    ]
    for run in runs:
        run.check()
    seen = {run.place.name: run.seen for run in runs if run.is_listed}
    for run in runs:
        if run.is_listed:
            run.compare(seen)
    return CheckResult(repositories=tuple(run.checked() for run in runs))


@dataclass(frozen=True)
class _Known:
    """Which copies a repository has; *others* are those that it has removed by policy, or that can't be read."""

    backups: dict[BackupFolder, BackupSeen]
    others: set[BackupFolder]


class _Repository:
    def __init__(self, place: Place, request: CheckRequest, *, host: Host, progress: Progress) -> None:
        self.place = place
        self.is_listed = False
        self.seen = _Known(backups={}, others=set())
        self._request = request
        self._host = host
        self._seconds = 0.0
        self._looking = Looking(
            request=request,
            findings=Findings(repository=place.name),
            looked=Looked(),
            progress=progress,
            stopping=Stopping(),
        )

    def check(self) -> None:
        """List it, and look at everything."""
        began = self._host.clock.monotonic()
        self._looking.progress.stage(f"looking through {self.place.name}")
        try:
            self._walk()
            self._tell_uploads()
            self._tell_broken_chains()
            self._tell_broken_sets()
            self.is_listed = True
        except Interrupted:
            raise
        except LifeboatError as error:
            self._looking.findings.add("repository-unreadable", "", error.message, hint=error.hint)
        self._seconds = self._host.clock.monotonic() - began

    def compare(self, others: t.Mapping[str, _Known]) -> None:
        """Tell of backups that their job wanted here, and that are elsewhere only."""
        told: set[BackupFolder] = set()
        for name, other in others.items():
            if name == self.place.name:
                continue
            for folder, backup in other.backups.items():
                is_here = folder in self.seen.backups or folder in self.seen.others or folder in told
                if self.place.name in backup.repositories and not is_here and not self._came_meanwhile(folder):
                    told.add(folder)
                    self._looking.findings.add(
                        "copy-missing",
                        folder.key(""),
                        f"it is in {name}, and its job wanted it here as well",
                        hint=f"lifeboat copy --to {self.place.name}",
                    )

    def _came_meanwhile(self, folder: BackupFolder) -> bool:
        """Whether a copy has brought it since it was listed here, or retention took it away."""
        if not self._looking.findings.is_told("copy-missing"):
            return False
        content = look_into(self.place.storage, folder)
        return content.is_backup or bool(content.policy_removals)

    def checked(self) -> RepositoryChecked:
        """All that was found."""
        findings = self._looking.findings
        return RepositoryChecked(
            name=self.place.name,
            url=self.place.storage.properties.url,
            looked=self._looking.looked,
            counts=dict(findings.counts),
            findings=tuple(sorted(findings.told, key=_in_order)),
            seconds=self._seconds,
        )

    def _walk(self) -> None:
        pending: collections.deque[tuple[FolderContent, concurrent.futures.Future[BackupSeen | None]]]
        pending = collections.deque()
        parallel = self._request.parallel
        with workers(parallel, stopping=self._looking.stopping) as pool:
            objects = self._counted(self.place.storage.list(self._request.prefix))
            for group, members in itertools.groupby(objects, key=lambda found: _group(found.key)):
                self._looking.stopping.check()
                if isinstance(group, BackupFolder):
                    content = FolderContent(folder=group, objects={found.key: found for found in members})
                    if not self._is_selected(group.series):
                        continue
                    pending.append((content, pool.submit(self._check_folder, content)))
                    if len(pending) >= 4 * parallel:
                        self._take(*pending.popleft())
                elif isinstance(group, StreamFolder):
                    if self._is_selected(group.series):
                        check = LineageCheck(group, place=self.place, looking=self._looking, clock=self._host.clock)
                        check.check(members)
                elif group in _PARSERS:
                    self._check_documents(members, parser=_PARSERS[group])
                elif group is None:
                    self._tell_orphans(members)
            while pending:
                self._take(*pending.popleft())

    def _counted(self, objects: t.Iterable[ObjectInfo]) -> t.Iterator[ObjectInfo]:
        looked = self._looking.looked
        for found in objects:
            looked.objects += 1
            looked.bytes += found.size
            if looked.objects % _SHOWN_EVERY == 0:
                self._looking.progress.stage(f"looking through {self.place.name}: {looked.objects} objects")
            yield found

    def _check_folder(self, content: FolderContent) -> BackupSeen | None:
        return check_folder(content, place=self.place, looking=self._looking, now=self._host.clock.now())

    def _take(self, content: FolderContent, future: concurrent.futures.Future[BackupSeen | None]) -> None:
        wait_for([future])
        backup = future.result()
        if backup is not None:
            self._looking.looked.backups += 1
            self.seen.backups[content.folder] = backup
        elif content.policy_removals or content.has_manifest:
            removed = content.removed(self.place.name)
            self._looking.looked.removed += removed is not None and removed.state == REMOVED
            self.seen.others.add(content.folder)

    def _is_selected(self, series: Series) -> bool:
        selection = self._request.selection
        return (
            selection.service in (None, series.service)
            and selection.source in (None, series.source)
            and selection.kind in (None, series.kind)
        )

    def _check_documents(self, objects: t.Iterable[ObjectInfo], *, parser: t.Callable[[str], _Parse]) -> None:
        for found in objects:
            try:
                parser(found.key)(self.place.storage.get(found.key), key=found.key)
            except StorageNotFound:
                continue
            except LifeboatError as error:
                self._looking.findings.add("document-unreadable", found.key, error.message, hint=error.hint)

    def _tell_orphans(self, objects: t.Iterable[ObjectInfo]) -> None:
        for found in objects:
            stored = format_time(found.modified)
            self._looking.findings.add(
                "orphan", found.key, f"{found.size} bytes of {stored} that are no part of anything", hint=_PRUNE
            )

    def _tell_uploads(self) -> None:
        now = self._host.clock.now()
        try:
            for upload in self.place.storage.unfinished(self._request.prefix):
                age = now - upload.started
                state = "is under way" if age <= _DEAD_UPLOAD else "died"
                self._looking.findings.add(
                    "upload-unfinished",
                    upload.key,
                    f"an upload that began at {format_time(upload.started)} and {state}; it takes space",
                    hint="" if age <= _DEAD_UPLOAD else _PRUNE,
                )
        except StorageForbidden as error:
            self._host.journal.warning(f"{self.place.name}: unfinished uploads can't be listed: {error.message}")

    def _tell_broken_chains(self) -> None:
        """An increment is worth nothing without what it builds on."""
        if self._request.selection.kind is not None:
            return  # what it builds on is of another kind, and was not looked at
        there = {(one.series.service, one.series.source, one.backup_id) for one in self.seen.backups}
        for folder, backup in self.seen.backups.items():
            series = folder.series
            is_whole = backup.parent is None or (series.service, series.source, backup.parent) in there
            if not is_whole and look_into(self.place.storage, folder).is_backup:
                self._looking.findings.add(
                    "parent-missing",
                    folder.manifest_key,
                    f"it builds on {backup.parent}, which is not in this repository",
                    hint=f"lifeboat copy --to {self.place.name}",
                )

    def _tell_broken_sets(self) -> None:
        """A set is worth something while every member is the backup that it names."""
        if self._request.selection.kind is not None or self._request.selection.source is not None:
            return  # its members are of other sources, and were not looked at
        for folder, backup in self.seen.backups.items():
            for member in backup.members:
                there = self.seen.backups.get(member.folder)
                if there is not None and there.checksum == member.checksum:
                    continue
                if not look_into(self.place.storage, folder).is_backup:
                    break
                place = member.folder.key("").rstrip("/")
                self._looking.findings.add(
                    "member-missing",
                    folder.manifest_key,
                    f"its member {place} is not in this repository, so the set is broken"
                    if there is None
                    else f"its member {place} is not the backup that the set was made of",
                    hint=f"lifeboat copy --to {self.place.name}",
                )


def _label_parser(key: str) -> _Parse:
    return parse_label if label_pin_in(key) is None else parse_label_pin


def _entry_parser(key: str) -> _Parse:
    folder, _slash, name = key.rpartition("/")
    if "/.approvals/" not in folder:
        return parse_entry
    return parse_stored_plan if name.startswith(PLAN) else parse_stored_approval


def _event_parser(_key: str) -> _Parse:
    return parse_event


_PARSERS: t.Mapping[t.Any, t.Callable[[str], _Parse]] = {
    LABELS: _label_parser,
    FAILOVERS: _entry_parser,
    DEGRADED: _event_parser,
}
_PRUNE = "See what would be swept: lifeboat prune --plan"


def _group(key: str) -> BackupFolder | StreamFolder | str | None:
    """What an object belongs to; None: to nothing that Lifeboat knows."""
    if key == CHECK_KEY or key.startswith(OWN_FOLDER):
        return OWN_FOLDER
    parts = key.split("/", 4)
    own = _of_service(key, parts)
    if own is not None:
        return own
    found = parse_key(key)
    if found is not None:
        return found.folder
    if len(parts) == 5 and all(is_name(part) for part in parts[:4]) and not is_backup_id(parts[3]):
        return StreamFolder(series=Series(*parts[:3]), lineage=parts[3])
    return None


def _of_service(key: str, parts: t.Sequence[str]) -> str | None:
    """The folder of Lifeboat's own in a service's, that an object belongs to."""
    if len(parts) < 2 or not parts[1].startswith(".") or not is_name(parts[0]):
        return None
    if key.startswith(failovers_folder(parts[0])) and parts[3:4] == ["announced"]:
        return OWN_FOLDER  # notes of whom a failover has told
    folders = {
        LABELS: (3, labels_folder(parts[0])),
        FAILOVERS: (5 if key.startswith(approvals_folder(parts[0])) else 4, failovers_folder(parts[0])),
        DEGRADED: (3, degraded_folder(parts[0])),
    }
    found = (name for name, (count, folder) in folders.items() if len(parts) == count and key.startswith(folder))
    return next(found, None)


def _in_order(finding: Finding) -> tuple[int, str, str]:
    return ("error", "warning", "note").index(finding.severity), finding.code, finding.key


__all__ = ("check_repositories",)
