# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copies of a failover's ledger as they lie in the repositories, damaged or not: for whoever asks later.

``ledger.py`` refuses what it can't trust, since a failover goes on by it. Here everything is read that can be.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import FailoverLedgerInvalid, FailoverRunUnknown, LifeboatError, StorageNotFound
from ..storage.base import Storage
from .entry import LARGEST, Entry, entry_number, failovers_folder, is_run, parse_entry, run_folder, run_name, run_number

Storages = t.Mapping[str, Storage]


@dataclass(frozen=True)
class LedgerCopy:
    """What one repository has of a run. *damaged* says by key why an entry is none, *foreign* are other objects there.

    *error* is set where the repository could not be asked.
    """

    repository: str
    entries: tuple[Entry, ...] = ()
    damaged: t.Mapping[str, str] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    error: LifeboatError | None = None


def read_copies(service: str, run: str, *, storages: Storages) -> tuple[LedgerCopy, ...]:
    """All copies of *run*. Raises FailoverRunUnknown where no repository that answers has anything of it."""
    if not is_run(run):
        raise FailoverRunUnknown(
            f"{run!r} is no name of a failover.", hint=f"See which there are: lifeboat evidence show {service}"
        )
    copies = tuple(_read(service, run, name=name, storage=storage) for name, storage in storages.items())
    if not any(one.entries or one.damaged for one in copies):
        errors = [one.error for one in copies if one.error is not None]
        if errors:
            raise errors[0]
        raise FailoverRunUnknown(
            f"{service} has no failover {run} in {', '.join(storages) or 'any repository'}.",
            hint=f"See which there are: lifeboat evidence show {service}",
            details={"run": run},
        )
    return copies


def newest_name(service: str, *, storages: Storages) -> str:
    """The run that was opened last. Raises FailoverRunUnknown, and what the storage raises where none answers."""
    numbers: set[int] = set()
    errors: list[LifeboatError] = []
    for storage in storages.values():
        try:
            found = map(run_number, storage.list_folders(failovers_folder(service)))
            numbers.update(number for number in found if number is not None)
        except LifeboatError as error:
            errors.append(error)
    if not numbers:
        if errors:
            raise errors[0]
        raise FailoverRunUnknown(
            f"{service} had no failover: {', '.join(storages) or 'no repository'} has no ledger of one.",
            hint="Its name is the service's in the description; lifeboat config check shows them.",
        )
    return run_name(max(numbers))


def _read(service: str, run: str, *, name: str, storage: Storage) -> LedgerCopy:
    folder = run_folder(service, run)
    entries: list[Entry] = []
    damaged: dict[str, str] = {}
    foreign: list[str] = []
    try:
        for key in sorted(one.key for one in storage.list(folder)):
            if entry_number(key[len(folder) :]) is None:
                foreign.append(key)
                continue
            try:
                entries.append(parse_entry(storage.get(key, limit=LARGEST), key=key))
            except FailoverLedgerInvalid as error:
                damaged[key] = error.message
            except StorageNotFound:
                damaged[key] = f"{key} is listed and can't be read."
    except LifeboatError as error:
        return LedgerCopy(repository=name, error=error)
    return LedgerCopy(repository=name, entries=tuple(entries), damaged=damaged, foreign=tuple(foreign))
