# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: what the repositories hold, read from the manifests alone and from nothing else.

There is no database of backups that could disagree with the bucket. A backup exists in a repository if and only if
its manifest exists there; the same backup in several repositories is one entry.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import functools
import typing as t
from dataclasses import dataclass, field

from ..core.errors import BackupNotFound, LifeboatError, ManifestInvalid, RequestInvalid, StorageError
from ..core.ids import backup_id_time, is_backup_id, is_name
from ..storage.base import Storage
from .copies import Copy, read_copy
from .folder_content import Kept
from .layout import BackupFolder, Series
from .manifest import Manifest
from .pin import Pin
from .removal import RemovedCopy, removed_error
from .standing import best, copy_states
from .verification import Verification, in_order

# Reading manifests is waiting for the network; a few at a time, so that small servers are not flooded.
_PARALLEL_READS = 8
_BATCH = 1000
_PIN_KEYS = ("id", "reason", "by", "made", "until", "hold")


@dataclass(frozen=True)
class Selection:
    """Which backups are asked for; None means any."""

    service: str | None = None
    source: str | None = None
    kind: str | None = None
    engine: str | None = None
    backup_id: str | None = None
    state: str | None = None
    before: datetime.datetime | None = None  # started before this instant
    newest: int | None = None  # at most so many of each series, the newest

    def __post_init__(self) -> None:
        """Raises RequestInvalid for names that no series can have: a typing error must not look like "no backups"."""
        for label, name in (("service", self.service), ("source", self.source), ("kind", self.kind)):
            if name is not None and not is_name(name):
                raise RequestInvalid(
                    f"The {label} {name!r} can't be one.",
                    hint="Names hold lower-case letters, digits and . - _ only. See which there are: lifeboat list",
                )

    def takes_id(self, backup_id: str) -> bool:
        """Whether the backup of that id can match."""
        if self.backup_id is not None and self.backup_id != backup_id:
            return False
        return self.before is None or backup_id_time(backup_id) < self.before


@dataclass(frozen=True)
class Backup:
    """One backup: its manifest, where it is (repository name to state), and where the job wanted it but it is not.

    States are *complete*, *verified* and *failed* (see :mod:`standing`); *verifications* and *pins* are in order of
    time. A repository that removed its copy by policy, or is doing so, is in *removed* and not missing. *kept* says how
    repositories keep their copies.
    """

    manifest: Manifest
    repositories: t.Mapping[str, str]
    missing: tuple[str, ...] = ()
    verifications: tuple[Verification, ...] = ()
    pins: tuple[Pin, ...] = ()
    removed: tuple[str, ...] = ()
    kept: t.Mapping[str, Kept] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The best state that it has anywhere."""
        return best(self.repositories.values())

    @property
    def last_verification(self) -> Verification | None:
        """The newest one, whatever came of it."""
        return self.verifications[-1] if self.verifications else None

    @property
    def is_partial(self) -> bool:
        """Whether a repository of its job lacks it."""
        return bool(self.missing)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values: the facts that lists show, without the manifest's details."""
        manifest = self.manifest
        document = manifest.as_dict()
        keys = (
            "id",
            "service",
            "source",
            "engine",
            "kind",
            "parent",
            "labels",
            "started",
            "finished",
            "host",
            "warnings",
        )
        return {
            **{key: document[key] for key in keys},
            "state": self.state,
            "partial": self.is_partial,
            "repositories": dict(self.repositories),
            "missing": list(self.missing),
            "removed": list(self.removed),
            "pins": [{key: value for key, value in pin.as_dict().items() if key in _PIN_KEYS} for pin in self.pins],
            "verification": _verification_summary(self.last_verification),
            "seconds": round(manifest.seconds, 3),
            "stored_bytes": manifest.stored_bytes,
            "plain_bytes": manifest.plain_bytes,
            "compression": document["compression"],
            "encryption": document["encryption"],
        }


@dataclass(frozen=True)
class Reading:
    """What came of reading the catalog: backups, oldest first, and what could not be read (never left out silently).

    *removals* are copies that are being removed, or of which nothing but the note of their removal is left.
    """

    backups: tuple[Backup, ...]
    problems: tuple[LifeboatError, ...] = ()
    removals: tuple[RemovedCopy, ...] = ()


@dataclass
class _Found:
    manifests: dict[str, Manifest] = field(default_factory=dict)  # repository name -> its copy
    verifications: dict[str, Verification] = field(default_factory=dict)  # by id; repositories hold the same ones
    pins: dict[str, Pin] = field(default_factory=dict)  # as well
    kept: dict[str, Kept] = field(default_factory=dict)  # by repository


def read_catalog(storages: t.Mapping[str, Storage], *, selection: Selection | None = None) -> Reading:
    """Read the manifests of every repository in *storages* (name to storage) that match.

    An unreachable repository and an unreadable manifest become problems of the reading; the rest is returned.
    """
    selection = selection or Selection()
    found: dict[BackupFolder, _Found] = {}
    problems: list[LifeboatError] = []
    removals: list[RemovedCopy] = []
    listed: set[str] = set()
    for name, storage in storages.items():
        try:
            folders = {series: _folders(storage, series, selection) for series in find_series(storage, selection)}
            listed.add(name)
        except StorageError as error:
            error.details["repository"] = name
            problems.append(error)
            continue
        for folder, outcome in _read_all(name, storage, folders.values(), selection):
            if isinstance(outcome, RemovedCopy):
                removals.append(outcome)
                continue
            if isinstance(outcome, Copy):
                entry = found.setdefault(folder, _Found())
                entry.manifests[name] = outcome.manifest
                entry.verifications.update((one.verification_id, one) for one in outcome.verifications)
                entry.pins.update((one.pin_id, one) for one in outcome.pins)
                if outcome.kept is not None:
                    entry.kept[name] = outcome.kept
            for problem in [outcome] if isinstance(outcome, LifeboatError) else outcome.problems:
                problem.details["repository"] = name
                problems.append(problem)
    backups = sorted(
        _merge(found, listed, removals, problems),
        key=lambda backup: (backup.manifest.started, backup.manifest.backup_id),
    )
    chosen = [backup for backup in backups if _matches(backup, selection)]
    return Reading(backups=tuple(_newest(chosen, selection.newest)), problems=tuple(problems), removals=tuple(removals))


def find_backup(reading: Reading, backup_id: str) -> Backup:
    """The backup of that id. Raises BackupNotFound, with what could not be read; BackupRemoved when a policy did it."""
    for backup in reading.backups:
        if backup.manifest.backup_id == backup_id:
            return backup
    removals = [copy for copy in reading.removals if copy.folder.backup_id == backup_id]
    if removals:
        raise removed_error(backup_id, removals)
    unread = f" {len(reading.problems)} places of the catalog could not be read." if reading.problems else ""
    raise BackupNotFound(
        f"No backup {backup_id} is in the repositories that were asked.{unread}",
        hint="See which there are: lifeboat list",
        details={"problems": [problem.as_dict() for problem in reading.problems]},
    )


def find_series(storage: Storage, selection: Selection) -> t.Iterator[Series]:
    """The series of a repository that match, in order; folders that can't be one are somebody else's."""
    for service in _names(storage, "", wanted=selection.service):
        for source in _names(storage, f"{service}/", wanted=selection.source):
            for kind in _names(storage, f"{service}/{source}/", wanted=selection.kind):
                yield Series(service=service, source=source, kind=kind)


def _names(storage: Storage, folder: str, *, wanted: str | None) -> list[str]:
    return [wanted] if wanted is not None else [name for name in storage.list_folders(folder) if is_name(name)]


def _folders(storage: Storage, series: Series, selection: Selection) -> list[BackupFolder]:
    """The folders that can hold a matching backup, newest first; whether there is a manifest is seen on reading."""
    ids = [name for name in storage.list_folders(series.folder) if is_backup_id(name) and selection.takes_id(name)]
    return [series.backup(backup_id) for backup_id in sorted(ids, reverse=True)]


def _read_all(
    name: str, storage: Storage, series: t.Iterable[t.Sequence[BackupFolder]], selection: Selection
) -> t.Iterator[tuple[BackupFolder, Copy | RemovedCopy | LifeboatError]]:
    """What each folder's documents say. Of each series (newest first) no more are read than the selection can want."""
    # Whether a backup is partial shows when all repositories are read, so then nothing can be left out.
    enough = selection.newest if selection.state is None else None
    # Who asks for one backup wants to know why it is gone.
    read = functools.partial(read_copy, storage, repository=name, reasons=selection.backup_id is not None)
    with concurrent.futures.ThreadPoolExecutor(max_workers=_PARALLEL_READS) as pool:
        for folders in series:
            matching = position = 0
            while position < len(folders) and (enough is None or matching < enough):
                batch = folders[position : position + (_BATCH if enough is None else enough - matching)]
                position += len(batch)
                for folder, outcome in zip(batch, pool.map(read, batch)):
                    if outcome is not None:
                        yield folder, outcome
                    if isinstance(outcome, Copy):
                        matching += selection.engine in (None, outcome.manifest.engine)


def _merge(
    found: t.Mapping[BackupFolder, _Found],
    listed: t.AbstractSet[str],
    removals: t.Iterable[RemovedCopy],
    problems: list[LifeboatError],
) -> t.Iterator[Backup]:
    removed_from: dict[BackupFolder, set[str]] = {}
    for copy in removals:
        removed_from.setdefault(copy.folder, set()).add(copy.repository)
    for folder, copies in found.items():
        names = sorted(copies.manifests)
        manifest = copies.manifests[names[0]]
        problems.extend(_differs(folder, names[0], name) for name in names[1:] if copies.manifests[name] != manifest)
        removed = removed_from.get(folder, set())
        missing = tuple(name for name in manifest.repositories if name in listed - removed - copies.manifests.keys())
        verifications = tuple(sorted(copies.verifications.values(), key=in_order))
        states = copy_states(names, verifications, manifest_checksum=str(manifest.as_dict()["checksum"]))
        yield Backup(
            manifest=manifest,
            repositories=states,
            missing=missing,
            verifications=verifications,
            pins=tuple(sorted(copies.pins.values(), key=lambda pin: pin.pin_id)),
            removed=tuple(sorted(removed)),
            kept=copies.kept,
        )


def _differs(folder: BackupFolder, first: str, second: str) -> ManifestInvalid:
    return ManifestInvalid(
        f"The manifests of {folder.backup_id} in {first} and {second} differ, though each is whole.",
        hint=f"Compare them: lifeboat show {folder.backup_id} --repository {second}",
        details={"key": folder.manifest_key, "repository": second},
    )


def _matches(backup: Backup, selection: Selection) -> bool:
    if selection.engine is not None and backup.manifest.engine != selection.engine:
        return False
    if selection.state == "partial":
        return backup.is_partial
    return selection.state is None or selection.state == backup.state


def _newest(backups: t.Sequence[Backup], count: int | None) -> t.Iterator[Backup]:
    if count is None:
        yield from backups
        return
    by_series: dict[Series, list[Backup]] = {}
    for backup in backups:
        by_series.setdefault(backup.manifest.folder.series, []).append(backup)
    kept = (
        {backup.manifest.folder for series in by_series.values() for backup in series[-count:]} if count > 0 else set()
    )
    yield from (backup for backup in backups if backup.manifest.folder in kept)


def _verification_summary(verification: Verification | None) -> dict[str, t.Any] | None:
    if verification is None:
        return None
    document = verification.as_dict()
    keys = ("id", "state", "level", "reached", "finished", "host", "recovery_seconds")
    return {key: document[key] for key in keys}


__all__ = ("Backup", "Reading", "Selection", "find_backup", "find_series", "read_catalog")
