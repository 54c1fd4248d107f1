# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds the lease of retention in a repository, and taking it away from somebody who is dead."""

from __future__ import annotations

import contextlib
import datetime
import json
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import LifeboatError, StorageNotFound
from ..core.host import Host
from ..storage.base import Storage
from ..storage.registry import open_storage
from .backup_values import RepositoryRequest
from .prune_lease import LEASE_KEY, VOID_AFTER, break_lease

Storages = t.Mapping[str, Storage]


@dataclass(frozen=True)
class LeaseState:
    """The lease of one repository. *holder* is None when nobody holds it; *stored* is by the storage's own clock."""

    repository: str
    holder: t.Mapping[str, t.Any] | None = None
    stored: datetime.datetime | None = None
    void_at: datetime.datetime | None = None
    broken: bool = False
    error: LifeboatError | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "repository": self.repository,
            "holder": dict(self.holder) if self.holder is not None else None,
            "stored": format_time(self.stored) if self.stored else None,
            "void_at": format_time(self.void_at) if self.void_at else None,
            "broken": self.broken,
            "error": self.error.as_dict() if self.error else None,
        }


def read_leases(
    repositories: t.Sequence[RepositoryRequest], *, take_away: bool, host: Host, storages: Storages | None = None
) -> tuple[LeaseState, ...]:
    """The lease of each repository; with *take_away* those that are held are broken. An error is the state's own.

    Breaking one is safe also when its holder is alive: he notices, and two at once do each other no harm.
    """
    found = []
    for one in repositories:
        storage = (storages or {}).get(one.name) or open_storage(
            one.description, name=one.name, clock=host.clock, runner=host.runner
        )
        try:
            found.append(_read(one.name, storage, take_away=take_away))
        except LifeboatError as error:
            found.append(LeaseState(repository=one.name, error=error))
    return tuple(found)


def _read(name: str, storage: Storage, *, take_away: bool) -> LeaseState:
    try:
        stored = storage.stat(LEASE_KEY).modified
        data = storage.get(LEASE_KEY)
    except StorageNotFound:
        return LeaseState(repository=name)
    holder: dict[str, t.Any] = {}
    with contextlib.suppress(ValueError, RecursionError):  # it is held all the same, by nobody knows whom
        document = json.loads(data.decode("utf-8"))
        holder = document if isinstance(document, dict) else {}
    broken = take_away and break_lease(storage) is not None
    return LeaseState(repository=name, holder=holder, stored=stored, void_at=stored + VOID_AFTER, broken=broken)
