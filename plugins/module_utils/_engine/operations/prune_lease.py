# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pruner at a time in a repository: ``.lifeboat/prune.json``, which whoever prunes holds meanwhile.

It spares work and noise and is not what keeps backups safe: two pruners at once do each other no harm
(:mod:`prune_backups`). That is why a lease that was left behind may be taken over without asking whether its holder is
really gone, and where puts are not conditional two may hold it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import types
import typing as t

from ..core.clock import format_time
from ..core.errors import PruneRunning, StorageError, StorageExists, StorageNotFound
from ..core.ids import new_backup_id
from ..storage.base import Storage

LEASE_KEY = ".lifeboat/prune.json"
#: After it was stored, by the storage's own clock.
VOID_AFTER = datetime.timedelta(hours=6)
#: Whoever holds it stops by himself then, well before anybody takes it over.
STOP_AFTER = datetime.timedelta(hours=5)
_ATTEMPTS = 3


class Lease(contextlib.AbstractContextManager["Lease"]):
    """The lease while it is ours; leaving the ``with`` block gives it back.

    *deadline* is when to stop (aware UTC, this host's clock). *lease_id* names this very lease.
    """

    def __init__(self, storage: Storage, *, lease_id: str, deadline: datetime.datetime) -> None:
        self._storage = storage
        self.lease_id = lease_id
        self.deadline = deadline

    def is_ours(self) -> bool:
        """Whether nobody broke it or took it over. Raises what get() raises."""
        held = _held(self._storage)
        return held is not None and held.get("id") == self.lease_id

    def release(self) -> None:
        """Give it back, if it is ours still. Raises what get() and delete() raise."""
        if self.is_ours():
            self._storage.delete([LEASE_KEY])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        try:
            self.release()
        except StorageError:
            # It is void by itself in a few hours; what went wrong before that matters more.
            if error is None:
                raise


def take_lease(storage: Storage, *, holder: t.Mapping[str, t.Any], now: datetime.datetime) -> Lease:
    """Take it, or take over one that is void. *holder* (JSON values: host, pid) is what others are shown.

    Raises PruneRunning that names the holder, and what the storage raises (StorageForbidden: may not prune).
    """
    lease_id = new_backup_id(now=now)
    document = {**holder, "id": lease_id, "taken": format_time(now)}
    data = (json.dumps(document, indent=2, sort_keys=True) + "\n").encode("utf-8")
    for _attempt in range(_ATTEMPTS):
        try:
            storage.put(LEASE_KEY, data)
        except StorageExists:
            _take_away_if_void(storage, lease_id, now=now)
        lease = Lease(storage, lease_id=lease_id, deadline=now + STOP_AFTER)
        if lease.is_ours():
            return lease
    raise _running(_held(storage) or {}, since=None)


def break_lease(storage: Storage) -> dict[str, t.Any] | None:
    """Take the lease away from whoever holds it; what it said of him, None when nobody held it.

    He notices before he removes the next backups; until then two may be at work, which costs requests and nothing else.
    """
    held = _held(storage)
    if held is not None:
        storage.delete([LEASE_KEY])
    return held


def _take_away_if_void(storage: Storage, lease_id: str, *, now: datetime.datetime) -> None:
    """Raises PruneRunning when it is neither void nor ours."""
    try:
        stored = storage.stat(LEASE_KEY).modified
    except StorageNotFound:
        return  # given back just now
    held = _held(storage)
    if held is None or held.get("id") == lease_id:
        return  # ours: the answer to our own put was lost
    skew = datetime.timedelta(seconds=storage.clock_skew())
    if now + skew - stored <= VOID_AFTER:
        raise _running(held, since=stored)
    storage.delete([LEASE_KEY])


def _held(storage: Storage) -> dict[str, t.Any] | None:
    """What is said of the holder; empty when that can't be read."""
    try:
        document = json.loads(storage.get(LEASE_KEY).decode("utf-8"))
    except StorageNotFound:
        return None
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _running(held: t.Mapping[str, t.Any], *, since: datetime.datetime | None) -> PruneRunning:
    who = f"process {held.get('pid', '?')} on {held.get('host', 'a host that nobody knows')}"
    when = f" since {format_time(since)}" if since else ""
    return PruneRunning(
        f"Another run is pruning this repository{when}: {who}.",
        hint=f"Wait for it; after {VOID_AFTER.total_seconds() / 3600:g} hours anybody may take over. If it is dead: "
        "lifeboat repo unlock",
        details={"holder": dict(held), "since": format_time(since) if since else None},
    )
