# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The native dump: the steps around reading and writing that bring all collections to one moment."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.errors import MongoCollectionChanged
from ..core.journal import Journal
from .collection_details import with_details
from .consistency import OPLOG, SNAPSHOT
from .dump_run import AGAIN, DumpedCollection, DumpRun, RunSettings
from .namespaces import TIME_SERIES, VIEW, Namespace, Scope, differences, list_namespaces, users_and_roles_of
from .oplog import Captured, OplogCapture, majority_position, start_position
from .splitting import ReadTask, plan_reads
from .timestamps import Position

if t.TYPE_CHECKING:
    from .connection import Client

_LISTING_ATTEMPTS = 5


@dataclass(frozen=True)
class DumpResult:
    """A whole dump. *cluster_time* belongs to a snapshot, *captured* to the oplog.

    *outside_snapshot* names collections that were read at the current time beside the snapshot, *came_later* those
    that were made after it and are not in the archive.
    """

    collections: tuple[DumpedCollection, ...]
    cluster_time: Position | None = None
    captured: Captured | None = None
    outside_snapshot: tuple[str, ...] = ()
    came_later: tuple[str, ...] = ()


@dataclass(frozen=True)
class NativeDump:
    """One dump to make: of *scope*, through *client*, which speaks to one server."""

    client: Client
    scope: Scope
    mode: str  # snapshot, oplog or none
    parallel: int
    server_version: str
    unsnapshotable: frozenset[str]
    clock: Clock
    journal: Journal
    backup_id: str | None = None
    # Called between opening and reading; tests do there what must not go unnoticed.
    before_reading: t.Callable[[], None] = field(default=lambda: None)

    def write(self, output: t.BinaryIO) -> DumpResult:
        """Write the archive. Raises the named errors of its parts; what was written by then is worthless."""
        start = start_position(self.client) if self.mode == OPLOG else None
        namespaces, cluster_time = self._moment()
        outside = frozenset(
            one.full_name for one in namespaces if self.mode == SNAPSHOT and one.full_name in self.unsnapshotable
        )
        everything = [*namespaces, *self._users_and_roles()]
        tasks = self._tasks(everything, outside=outside)
        run = DumpRun(settings=self._settings(), output=output, cluster_time=cluster_time, outside=outside)
        self.before_reading()
        captured = run.write(
            namespaces=everything,
            tasks=tasks,
            capture=None if start is None else self._capture(start, namespaces=namespaces),
        )
        came_later = self._compare(namespaces) if self.mode == SNAPSHOT else ()
        return DumpResult(
            collections=run.collections(namespaces),
            cluster_time=cluster_time,
            captured=captured,
            outside_snapshot=tuple(sorted(outside)),
            came_later=came_later,
        )

    def _moment(self) -> tuple[tuple[Namespace, ...], Position | None]:
        """The collections with their details and, for a snapshot, a cluster time at which exactly these existed."""
        for _attempt in range(_LISTING_ATTEMPTS):
            listed = self._list()
            detailed = with_details(self.client, listed)
            if self.mode != SNAPSHOT:
                return detailed, None
            cluster_time = majority_position(self.client)
            again = self._list()
            if _identity(listed) == _identity(again):
                return detailed, cluster_time
            self.journal.info("Collections were made or dropped while the dump began; listing them again.")
        raise MongoCollectionChanged(
            f"Collections were made or dropped during each of {_LISTING_ATTEMPTS} attempts to begin the dump.",
            hint="Run the backup again when no collections are being made or dropped, or exclude those that are.",
        )

    def _list(self) -> tuple[Namespace, ...]:
        return list_namespaces(self.client, scope=self.scope)

    def _settings(self) -> RunSettings:
        return RunSettings(
            client=self.client,
            parallel=self.parallel,
            server_version=self.server_version,
            backup_id=self.backup_id,
        )

    def _capture(self, start: Position, *, namespaces: t.Sequence[Namespace]) -> OplogCapture:
        return OplogCapture(
            client=self.client,
            start=start,
            clock=self.clock,
            users_and_roles=self.scope.users_and_roles,
            databases_with_views=frozenset(one.database for one in namespaces if one.type in (VIEW, TIME_SERIES)),
        )

    def _users_and_roles(self) -> tuple[Namespace, ...]:
        database = self.scope.database
        if database in (None, "admin") or not self.scope.users_and_roles:
            return ()
        return users_and_roles_of(str(database))

    def _tasks(self, namespaces: t.Sequence[Namespace], *, outside: t.Collection[str]) -> tuple[ReadTask, ...]:
        # What the snapshot can't hold is read first: close to its moment.
        first = [ReadTask(namespace=one) for one in namespaces if one.full_name in outside]
        rest = [one for one in namespaces if one.full_name not in outside and not one.is_about_users]
        return (*first, *plan_reads(self.client, rest, parallel=self.parallel))

    def _compare(self, before: t.Sequence[Namespace]) -> tuple[str, ...]:
        after = self._list()
        changed = differences([one for one in before if one.type != VIEW], after)
        if changed:
            raise MongoCollectionChanged(
                f"During the dump {'; '.join(changed[:5])}{'; and more' if len(changed) > 5 else ''}.",
                hint=AGAIN,
                details={"changed": list(changed)},
            )
        known = {one.full_name for one in before}
        return tuple(one.full_name for one in after if one.full_name not in known)


def _identity(namespaces: t.Sequence[Namespace]) -> list[tuple[str, str | None, t.Mapping[str, t.Any]]]:
    return [(one.full_name, one.uuid, one.options) for one in namespaces]
