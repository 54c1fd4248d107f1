# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup is restored, from where, and why: newest verified unless told otherwise."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..catalog.catalog import Backup, Reading, Selection, find_backup, read_catalog
from ..catalog.manifest import Manifest
from ..catalog.standing import FAILED, VERIFIED
from ..core.clock import format_time
from ..core.errors import BackupNotFound, BackupNotTrusted, RequestInvalid, StorageAllFailed
from ..core.host import Host
from ..core.ids import is_backup_id
from ..core.secrets import Secret
from ..recovery.payload_source import PayloadSource
from ..storage.base import Storage
from ..storage.registry import open_storage
from .backup_values import RepositoryRequest
from .parents import links_of

NEWEST_VERIFIED, NEWEST = "newest_verified", "newest"


@dataclass(frozen=True)
class Choice:
    """A backup with the copy to read and the reason, and all backups of its series (for forecasts)."""

    backup: Backup
    repository: str
    reason: str
    series: tuple[Backup, ...]

    @property
    def manifest(self) -> Manifest:
        """The backup's manifest."""
        return self.backup.manifest

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "id": self.manifest.backup_id,
            "kind": self.manifest.kind,
            "engine": self.manifest.engine,
            "state": self.backup.state,
            "started": self.manifest.as_dict()["started"],
            "repository": self.repository,
            "reason": self.reason,
            "stored_bytes": self.manifest.stored_bytes,
            "plain_bytes": self.manifest.plain_bytes,
        }


@dataclass(frozen=True)
class Sources:
    """The repositories that may be read, opened, in the order of preference."""

    storages: t.Mapping[str, Storage]
    host: Host
    identity: Secret

    @classmethod
    def open(cls, repositories: t.Sequence[RepositoryRequest], *, host: Host, identity: Secret) -> Sources:
        """Open them all."""
        storages = {
            one.name: open_storage(one.description, name=one.name, clock=host.clock, runner=host.runner)
            for one in repositories
        }
        return cls(storages=storages, host=host, identity=identity)

    def payloads(self, manifest: Manifest, repository: str) -> PayloadSource:
        """The payloads of a backup, from one repository. Raises RequestInvalid when it isn't among those given."""
        if repository not in self.storages:
            raise RequestInvalid(
                f"The repository {repository} is not among those given: {', '.join(self.storages)}.",
                hint=f"Name {repository} with its place.",
            )
        return PayloadSource(
            manifest=manifest,
            storage=self.storages[repository],
            repository=repository,
            runner=self.host.runner,
            identity=self.identity,
        )

    def find(self, backup_id: str) -> Backup:
        """The backup of that id, wherever it is. Raises RequestInvalid for what is no id, and BackupNotFound."""
        if not is_backup_id(backup_id):
            raise RequestInvalid(
                f"{backup_id!r} is neither SERVICE/SOURCE/KIND nor a backup id.",
                hint="Ids look like 20261121T020000Z-4f2c91; lifeboat list shows them.",
            )
        reading = read_catalog(self.storages, selection=Selection(backup_id=backup_id))
        require_one_readable(reading, self.storages)
        return find_backup(reading, backup_id)

    def chain_of(self, manifest: Manifest) -> tuple[PayloadSource, ...]:
        """What an increment builds on, the full backup first. Raises BackupNotFound when a part is gone."""
        found = []
        for backup_id in links_of(manifest):
            selection = Selection(service=manifest.service, source=manifest.source, backup_id=backup_id)
            backup = find_backup(read_catalog(self.storages, selection=selection), backup_id)
            found.append(self.payloads(backup.manifest, copy_to_read(backup, self.storages)))
        return tuple(found)


def choose(sources: Sources, selection: Selection, *, point: str, allow_failed: bool = False) -> Choice:
    """The backup that *selection* and *point* (newest_verified, newest, or the selection's own id) mean.

    Raises BackupNotFound when there is none, and BackupNotTrusted when there are only unverified ones, or the one that
    was named failed its verification and *allow_failed* is not set.
    """
    # The whole series: its other backups' recoveries say how long this one will take.
    reading = read_catalog(sources.storages, selection=replace(selection, backup_id=None, before=None))
    require_one_readable(reading, sources.storages)
    for problem in reading.problems:
        sources.host.journal.warning(str(problem))
    if selection.backup_id is not None:
        backup = find_backup(reading, selection.backup_id)
        reason = f"named by its id; {_words(backup)}"
    else:
        asked = tuple(backup for backup in reading.backups if selection.takes_id(backup.manifest.backup_id))
        backup, reason = _newest(replace(reading, backups=asked), selection, point)
    if backup.state == FAILED and not allow_failed:
        raise _failed(backup, f"The backup {backup.manifest.backup_id}")
    return Choice(
        backup=backup,
        repository=copy_to_read(backup, sources.storages),
        reason=reason,
        series=tuple(one for one in reading.backups if one.manifest.folder.series == backup.manifest.folder.series),
    )


def require_one_readable(reading: Reading, storages: t.Mapping[str, Storage]) -> None:
    """Raise StorageAllFailed when not one repository could be read: "no backups" would be a wrong answer then."""
    unread = [problem for problem in reading.problems if problem.code.startswith("storage.")]
    if (
        not reading.backups
        and unread
        and len({problem.details.get("repository") for problem in unread}) == len(storages)
    ):
        raise StorageAllFailed(
            "No repository could be read. " + " ".join(f"{problem.message} [{problem.code}]" for problem in unread),
            hint=next((problem.hint for problem in unread if problem.hint), ""),
            details={"problems": [problem.as_dict() for problem in unread]},
        )


def copy_to_read(backup: Backup, storages: t.Mapping[str, Storage]) -> str:
    """The first repository, in the order given, whose copy did not fail; the first one that has it when all did."""
    having = [name for name in storages if name in backup.repositories]
    good = [name for name in having if backup.repositories[name] != FAILED]
    return (good or having)[0]


def _newest(reading: Reading, selection: Selection, point: str) -> tuple[Backup, str]:
    when = f" before {format_time(selection.before)}" if selection.before else ""
    candidates = [backup for backup in reading.backups if backup.state != FAILED]
    if not candidates:
        if reading.backups:
            raise _failed(reading.backups[-1], f"All {len(reading.backups)} backups of {_asked(selection)}{when}")
        unread = f" {len(reading.problems)} places of the catalog could not be read." if reading.problems else ""
        raise BackupNotFound(
            f"There is no backup of {_asked(selection)}{when} that could be restored.{unread}",
            hint="See what there is: lifeboat list",
            details={"problems": [problem.as_dict() for problem in reading.problems]},
        )
    newest = candidates[-1]
    if point == NEWEST:
        return newest, f"the newest{when}; {_words(newest)}"
    verified = [backup for backup in candidates if backup.state == VERIFIED]
    if not verified:
        raise BackupNotTrusted(
            f"No backup of {_asked(selection)}{when} has been verified; the newest is {newest.manifest.backup_id}.",
            hint=f"Verify it: lifeboat verify {newest.manifest.backup_id}   "
            "Or take it as it is: --point newest (point: newest).",
            details={"newest": newest.manifest.backup_id},
        )
    passed_over = sum(1 for backup in candidates if backup.manifest.started > verified[-1].manifest.started)
    later = f"; {passed_over} newer not verified" if passed_over else ""
    return verified[-1], f"the newest verified{when}{later}"


def _failed(backup: Backup, who: str) -> BackupNotTrusted:
    backup_id = backup.manifest.backup_id
    errors = [one.error for one in backup.verifications if one.error]
    error = errors[-1] if errors else {}
    return BackupNotTrusted(
        f"{who} failed verification; the reason of {backup_id}: {error.get('message', 'a copy of it is damaged')}",
        hint=f"Take another one (lifeboat list), verify it once more when the reason is mended (lifeboat verify "
        f"{backup_id}), or insist by its id: --allow-failed (allow_failed: true).",
        details={"backup": backup_id, "error": dict(error)},
    )


def _words(backup: Backup) -> str:
    return {VERIFIED: "verified", FAILED: "FAILED its verification"}.get(backup.state, "not verified yet")


def _asked(selection: Selection) -> str:
    return "/".join(part or "*" for part in (selection.service, selection.source, selection.kind))
