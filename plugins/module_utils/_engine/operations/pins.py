# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Having a backup stay, whatever the policy says: pins and legal holds, and taking them away again."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup, Selection, find_backup, read_catalog
from ..catalog.copies import require_copy
from ..catalog.kept_reasons import kept_reasons
from ..catalog.layout import BackupFolder
from ..catalog.pin import Pin, pin_key
from ..core.clock import format_time
from ..core.errors import LifeboatError, RequestInvalid
from ..core.host import Host
from ..core.ids import is_backup_id, new_backup_id
from ..storage.base import Storage
from .choosing import require_one_readable
from .pin_locks import chain_folders, change_locks, held_folders, read_source


@dataclass(frozen=True)
class PinResult:
    """What became of *pins*: those that were made, or taken away.

    *repositories* are those in which it is so now; *errors* says of the others why not. *protected* are repositories
    whose objects were locked, put under hold or released as well; *unprotected* says of the others why not.
    """

    backup_id: str
    pins: tuple[Pin, ...]
    repositories: tuple[str, ...]
    errors: t.Mapping[str, LifeboatError]
    protected: tuple[str, ...] = ()
    unprotected: t.Mapping[str, str] | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "backup": self.backup_id,
            "pins": [pin.as_dict() for pin in self.pins],
            "repositories": list(self.repositories),
            "errors": {name: error.as_dict() for name, error in self.errors.items()},
            "protected": list(self.protected),
            "unprotected": dict(self.unprotected or {}),
        }


def pin_backup(
    storages: t.Mapping[str, Storage],
    backup_id: str,
    *,
    reason: str,
    by: str,
    host: Host,
    until: datetime.datetime | None = None,
    hold: bool = False,
) -> PinResult:
    """Have the backup stay in all of *storages* (by name) that have it: until *until*, or until it is unpinned.

    With *until*, objects in buckets with object lock are locked until then, and with *hold* put under legal hold; so is
    everything that the backup builds on. *by* is who says so.

    Raises RequestInvalid before anything is written, BackupNotFound, BackupRemoved when retention was quicker, and what
    the storage raised when no repository took the pin.
    """
    now = host.clock.now()
    _check(backup_id, reason=reason, until=until, hold=hold, now=now)
    backup = _find(storages, backup_id)
    pin = Pin(
        pin_id=new_backup_id(now=now),
        backup_id=backup_id,
        reason=reason.strip(),
        by=by,
        host=host.name,
        made=now,
        until=until,
        hold=hold,
    )
    errors: dict[str, LifeboatError] = {}
    for name in backup.repositories:
        try:
            _put(storages[name], backup.manifest.folder, pin, repository=name)
        except LifeboatError as error:
            errors[name] = error
    pinned = tuple(name for name in backup.repositories if name not in errors)
    if not pinned:
        raise next(iter(errors.values()))
    protected: tuple[str, ...] = ()
    unprotected: dict[str, str] = {}
    if hold or until is not None:
        folders = chain_folders(backup, read_source(storages, backup))
        working = {name: storages[name] for name in pinned}
        protected, unprotected = change_locks(working, folders, until=until, hold=True if hold else None)
    return PinResult(
        backup_id=backup_id,
        pins=(pin,),
        repositories=pinned,
        errors=errors,
        protected=protected,
        unprotected=unprotected,
    )


def unpin_backup(storages: t.Mapping[str, Storage], backup_id: str, *, pin_id: str | None = None) -> PinResult:
    """Take pins of the backup away from all of *storages*: that one, or all that are no legal holds.

    A legal hold goes only when it is named. Objects that no other hold needs are released then; object locks stay until
    their date, nobody can shorten them.

    Raises RequestInvalid when there is no such pin, BackupNotFound, and what the storage raised when it worked nowhere.
    """
    _check_id(backup_id)
    backup = _find(storages, backup_id)
    pins = _asked_for(backup, pin_id)
    errors: dict[str, LifeboatError] = {}
    for name in backup.repositories:
        try:
            take_away(storages[name], [pin_key(backup.manifest.folder, pin.pin_id) for pin in pins])
        except LifeboatError as error:
            errors[name] = error
    done = tuple(name for name in backup.repositories if name not in errors)
    if not done:
        raise next(iter(errors.values()))
    released: tuple[str, ...] = ()
    unreleased: dict[str, str] = {}
    if any(pin.hold for pin in pins):
        reading = read_source(storages, backup)
        folders = [folder for folder in chain_folders(backup, reading) if folder not in held_folders(reading)]
        released, unreleased = change_locks({name: storages[name] for name in done}, folders, until=None, hold=False)
    return PinResult(
        backup_id=backup_id,
        pins=pins,
        repositories=done,
        errors=errors,
        protected=released,
        unprotected=unreleased,
    )


def labelled_backups(storages: t.Mapping[str, Storage], name: str, value: str) -> list[str]:
    """The ids of the backups whose manifest carries that label, the oldest first. Raises what reading raises."""
    reading = read_catalog(storages)
    require_one_readable(reading, storages)
    backups = [one.manifest for one in reading.backups if one.manifest.labels.get(name) == value]
    return [one.backup_id for one in sorted(backups, key=lambda one: (one.started, one.backup_id))]


def _check(backup_id: str, *, reason: str, until: datetime.datetime | None, hold: bool, now: datetime.datetime) -> None:
    _check_id(backup_id)
    if not reason.strip():
        raise RequestInvalid(
            "A pin needs a reason: somebody will ask why this backup is still there.",
            hint=f"lifeboat pin {backup_id} --reason 'before the migration'",
        )
    if hold and until is not None:
        raise RequestInvalid(
            "A legal hold has no end of its own: somebody must end it.",
            hint="Leave out --until; or leave out --hold, then objects are locked until that time.",
        )
    require_to_come(until, now=now)


def require_to_come(until: datetime.datetime | None, *, now: datetime.datetime) -> None:
    """Raise RequestInvalid for the end of a pin that is over."""
    if until is not None and until <= now:
        raise RequestInvalid(
            f"{format_time(until)} is over already, so the pin would hold nothing.", hint="Name a time to come."
        )


def _check_id(backup_id: str) -> None:
    if not is_backup_id(backup_id):
        raise RequestInvalid(
            f"{backup_id!r} is no backup id.", hint="Ids look like 20261121T020000Z-4f2c91; lifeboat list shows them."
        )


def _find(storages: t.Mapping[str, Storage], backup_id: str) -> Backup:
    reading = read_catalog(storages, selection=Selection(backup_id=backup_id))
    require_one_readable(reading, storages)
    return find_backup(reading, backup_id)


def _put(storage: Storage, folder: BackupFolder, pin: Pin, *, repository: str) -> None:
    """Write it, and then look whether the copy is being removed: a removal does it the other way round."""
    key = pin_key(folder, pin.pin_id)
    storage.put(key, pin.as_bytes())
    try:
        require_copy(storage, folder, repository=repository)
    except LifeboatError:
        storage.delete([key])
        raise


def take_away(storage: Storage, keys: t.Sequence[str]) -> None:
    """Delete the documents of pins. Raises what kept the first of them."""
    report = storage.delete(keys)
    for key, reason in kept_reasons(report).items():
        raise next(iter(report.causes), None) or LifeboatError(f"{key} could not be removed: {reason}")


def _asked_for(backup: Backup, pin_id: str | None) -> tuple[Pin, ...]:
    backup_id = backup.manifest.backup_id
    there = "; ".join(f"{pin.pin_id} ({'hold, ' if pin.hold else ''}{pin.reason})" for pin in backup.pins)
    if pin_id is not None:
        named = tuple(pin for pin in backup.pins if pin.pin_id == pin_id)
        if not named:
            raise RequestInvalid(f"The backup {backup_id} has no pin {pin_id}.", hint=f"It has: {there or 'none'}.")
        return named
    pins = tuple(pin for pin in backup.pins if not pin.hold)
    if not pins:
        raise RequestInvalid(
            f"The backup {backup_id} has no pin that could be taken away without naming it.",
            hint=f"Name the hold: lifeboat unpin {backup_id} --pin PIN. It has: {there}." if there else "It has none.",
        )
    return pins
