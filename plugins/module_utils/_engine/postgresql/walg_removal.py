# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing from WAL-G's storage by WAL-G's own delete: what it would take is compared with the plan before it may.

Measured with 3.0.9: ``delete target`` takes along all that builds on the backup, and a permanent backup without a word;
``delete garbage ARCHIVES`` takes the WAL behind a permanent backup, as if nobody recovered from that one. Of a bucket
that refuses it takes what it may, and says that all went well.
"""

from __future__ import annotations

import datetime
import typing as t

from ..core.clock import Clock, format_time
from ..core.errors import (
    LifeboatError,
    ManifestInvalid,
    WalgBackupMissing,
    WalgBackupPermanent,
    WalgConfigurationInvalid,
    WalgRemovalDenied,
    WalgRemovalLocked,
    WalgRemovalUnplanned,
)
from ..core.runner import Runner
from ..recovery.vendor_storage import VendorBackup, VendorRest
from .programs import server_account
from .walg import TOOL_NAME
from .walg_deletes import BACKUPS, SENTINEL, WAL, foreign_objects, needed_log
from .walg_options import PLACE_KEYS, WalgOptions, walg_options
from .walg_program import WalgProgram, find_walg
from .walg_restore import is_walg, walg_facts

if t.TYPE_CHECKING:
    from ..catalog.manifest import Manifest
    from .walg_bucket import WalgBucket

_SHOWN = 5
_ARCHIVES = ("garbage", "ARCHIVES")


def vendor_backup_of(manifest: Manifest) -> VendorBackup | None:
    """What WAL-G calls the backup and where; None for one whose data is in the repository, or that doesn't say."""
    if not is_walg(manifest):
        return None
    try:
        noted = walg_facts(manifest)
    except ManifestInvalid:
        # Nothing of it can be restored or removed but what is in the repository.
        return None
    size = noted.get("compressed_size")
    return VendorBackup(
        tool=TOOL_NAME,
        storage=str(noted.get("storage") or ""),
        name=str(noted["backup_name"]),
        backup_id=manifest.backup_id,
        builds_on=str(noted["delta_from"]) if noted.get("delta_from") else None,
        log_begins=str((manifest.content.get("wal") or {}).get("first") or noted.get("wal_file") or ""),
        config=str(noted.get("config") or ""),
        size=size if isinstance(size, int) else 0,
    )


def removal_options(description: t.Mapping[str, t.Any]) -> WalgOptions:
    """The place of WAL-G out of what a job or a policy says about it. Raises RequestInvalid."""
    return walg_options({key: value for key, value in description.items() if key in PLACE_KEYS}, keys=PLACE_KEYS)


def open_walg_storage(
    backup: VendorBackup, *, options: t.Sequence[WalgOptions], runner: Runner, clock: Clock, everything: bool = False
) -> WalgStorage:
    """The storage of that backup, by the first of *options* that leads to it.

    Without any WAL-G from PATH reads the configuration that the backup's manifest names. *everything*: where the
    storage is a bucket, old versions of what WAL-G removed go, too. Raises WalgConfigurationInvalid when all lead
    elsewhere, and what finding the program raises.
    """
    # For who removes alone: modules that only read manifests needn't carry what storages need.
    from .walg_bucket import open_bucket

    chosen = list(options) or [WalgOptions(config=backup.config)]
    account = server_account()
    elsewhere: list[str] = []
    for one in chosen:
        program = find_walg(one, runner=runner, account=account, to_remove=True)
        if program.settings.prefix == backup.storage:
            bucket = open_bucket(program.settings, clock=clock, runner=runner)
            return WalgStorage(program, bucket=bucket, everything=everything)
        elsewhere.append(program.settings.prefix)
    raise WalgConfigurationInvalid(
        f"The backup {backup.name} of WAL-G lies in {backup.storage}, and WAL-G is configured for "
        f"{', '.join(elsewhere)}.",
        hint="Name the configuration of that storage: walg: {config: /etc/wal-g/main.json} in the job's options.",
        details={"storage": backup.storage, "configured": elsewhere},
    )


class WalgStorage:
    """A VendorStorage. *bucket* is None where it lies in none, or nobody but WAL-G can look into it."""

    def __init__(self, program: WalgProgram, *, bucket: WalgBucket | None = None, everything: bool = False) -> None:
        self._program = program
        self._bucket = bucket
        self._everything = everything

    def objections(self, going: t.Sequence[VendorBackup]) -> t.Mapping[str, LifeboatError]:
        """A permanent one, one of somebody else's, one under lock, one that something builds on which stays."""
        listed = {one.name: one for one in self._program.backups()}
        names = frozenset(one.name for one in going)
        found: dict[str, LifeboatError] = {}
        for backup in going:
            there = listed.get(backup.name)
            try:
                if there is None:
                    self._require_some(listed, backup)
                elif there.backup_id != backup.backup_id:
                    raise WalgBackupMissing(
                        f"{backup.name} in {backup.storage} is of {there.backup_id or 'somebody else'}, and not of "
                        f"{backup.backup_id}.",
                        hint=f"Look at its user data: {self._program.path} backup-list --detail",
                        details={"backup": backup.name},
                    )
                elif there.is_permanent:
                    raise WalgBackupPermanent(
                        f"{backup.name} is marked as permanent in {backup.storage}.",
                        hint=f"Run: {self._program.path} backup-mark -i {backup.name}   and to keep it say so here, "
                        f"too: lifeboat pin {backup.backup_id} --reason ...",
                        details={"backup": backup.name},
                    )
                else:
                    self._require_planned(backup, names)
                    # It is written last, so it is locked longest where each object is locked for the same time.
                    self._require_unlocked(backup, [f"{BACKUPS}{backup.name}{SENTINEL}"])
            except LifeboatError as error:
                found[backup.backup_id] = error
        return found

    def remove(self, backup: VendorBackup) -> VendorRest:
        """By ``delete target``; what is left of one whose sentinel is gone, by ``st rm``."""
        if backup.name in self._program.names():
            self._require_planned(backup, frozenset({backup.name}))
            self._program.delete("target", backup.name)
        # Never of one that is still listed: in a bucket with versions its data would be hidden and the sentinel not.
        if backup.name not in self._program.names() and self._program.leftovers(backup.name):
            self._require_unlocked(backup)
            self._program.remove_leftovers(backup.name)
        if backup.name in self._program.names() or self._program.leftovers(backup.name):
            self._require_unlocked(backup)
            raise self._passed_over(f"{backup.name} is still there", {"backup": backup.name})
        sentinel, folder = f"{BACKUPS}{backup.name}{SENTINEL}", f"{BACKUPS}{backup.name}/"
        rest = self._old_versions(f"{BACKUPS}{backup.name}", of=lambda key: key == sentinel or key.startswith(folder))
        if rest.locked:
            raise _locked(f"Old versions of {backup.name} in {backup.storage}", rest.until)
        return rest

    def trim(self, kept: t.Sequence[VendorBackup]) -> tuple[int, VendorRest]:
        """By ``delete garbage ARCHIVES``: relative to the oldest backup that WAL-G lists, ours or not."""
        if not self._program.names():
            return 0, VendorRest()  # WAL-G refuses then, and the WAL may be all that somebody has
        # In a bucket with versions each is named, so that an object may be more than once among them.
        marked = tuple(dict.fromkeys(self._program.would_delete(*_ARCHIVES)))
        log_begins = frozenset(one.log_begins for one in kept)
        needed = needed_log(marked, log_begins=log_begins)
        if needed:
            raise WalgRemovalUnplanned(
                f"wal-g delete garbage ARCHIVES would remove {len(needed)} files that a recovery from a backup reads "
                f"which stays: {_some(needed)}. No WAL was removed.",
                hint=f"Most often the oldest backup is marked as permanent: {self._program.path} backup-list --detail "
                "  then: wal-g backup-mark -i NAME, and lifeboat pin instead.",
                details={"files": list(needed)},
            )
        rest = VendorRest()
        left: tuple[str, ...] = ()
        if marked:
            self._program.delete(*_ARCHIVES)
            left = tuple(dict.fromkeys(self._program.would_delete(*_ARCHIVES)))
        if left:
            lock = self._bucket.lock_of(left) if self._bucket is not None else None
            if lock is None:
                raise self._passed_over(f"of the WAL {_some(left)} is still there", {"files": list(left)})
            # It holds nothing up: WAL is younger than the backup before it, and goes with a later one.
            rest = VendorRest(locked=len(left), until=None if lock.hold else lock.until)
        return len(marked) - len(left), rest + self._old_versions(
            WAL, of=lambda key: not needed_log((key,), log_begins=log_begins)
        )

    def _old_versions(self, prefix: str, *, of: t.Callable[[str], bool]) -> VendorRest:
        """What the bucket keeps of objects below *prefix* that are deleted, and removed when all is to go."""
        if self._bucket is None:
            return VendorRest()
        try:
            return self._bucket.clear(prefix, of=of, everything=self._everything)
        except WalgRemovalDenied:
            raise
        except LifeboatError as error:
            # What WAL-G had to do is done; it may do what we may not.
            return VendorRest(unknown=f"{error.message} [{error.code}]")

    def _require_unlocked(self, backup: VendorBackup, names: t.Sequence[str] = ()) -> None:
        """None of *names* is locked, or of all that is left of the backup. What nobody may look at counts as free."""
        if self._bucket is None:
            return
        lock = self._bucket.lock_of(names or self._bucket.names(f"{BACKUPS}{backup.name}"))
        if lock is not None:
            raise _locked(f"{backup.name} in {backup.storage}", None if lock.hold else lock.until)

    def _passed_over(self, what: str, details: dict[str, t.Any]) -> WalgRemovalDenied:
        # A bucket answers 200 to DeleteObjects and names what it refused; WAL-G does not look (measured with 3.0.9).
        return WalgRemovalDenied(
            f"WAL-G ended well, and in {self._program.settings.prefix} {what}: the storage refused to delete it, and "
            "WAL-G passed over that.",
            hint="Give the account that WAL-G uses the right to delete there (s3:DeleteObject, s3:DeleteObjectVersion "
            "where the bucket keeps versions, and s3:GetObjectRetention to tell a lock from it), and leave MFA delete "
            "off. Then: lifeboat prune --yes goes on.",
            details=details,
        )

    def _require_planned(self, backup: VendorBackup, names: frozenset[str]) -> None:
        foreign = foreign_objects(self._program.would_delete("target", backup.name), names=names)
        if foreign:
            raise WalgRemovalUnplanned(
                f"wal-g delete target {backup.name} would also remove what the plan keeps: {_some(foreign)}. Nothing "
                "was removed.",
                hint=f"See what builds on it: {self._program.path} backup-list --detail",
                details={"objects": list(foreign), "backup": backup.name},
            )

    def _require_some(self, listed: t.Mapping[str, t.Any], backup: VendorBackup) -> None:
        if not listed:
            # A storage that is not mounted looks the same.
            raise WalgBackupMissing(
                f"WAL-G lists no backup at all in {backup.storage}, not even those that stay.",
                hint=f"See that the storage is there: {self._program.path} backup-list",
                details={"backup": backup.name},
            )


def _some(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _locked(what: str, until: datetime.datetime | None) -> WalgRemovalLocked:
    """The error for what is under lock until then; None: a hold, or not known."""
    return WalgRemovalLocked(
        f"{what}: under object lock {_words(until)}.",
        hint="Nothing is to be done; the next run tries again: lifeboat prune --yes",
        details={"until": format_time(until) if until else None},
    )


def _words(until: datetime.datetime | None) -> str:
    return f"until {format_time(until)}" if until else "(a hold, or the date is not known)"
