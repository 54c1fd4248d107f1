# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What loading an archive is told, and what it says of its work."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .load_plans import IndexPlan, ViewPlan
from .namespace_map import NamespaceMap
from .oplog_commands import MakeDirect
from .oplog_replay import ReplayReport


@dataclass(frozen=True)
class LoadOptions:
    """What of an archive goes where: *names* maps it, *threads* insert at the same time.

    *users_into*, when given, is the beginning of two collections' names in admin, NAME.users and NAME.roles, that
    users and roles are put into (for :func:`restore_people.merge`); *users_of* limits them to those of these
    databases. Without it they are left out. *preserve_uuid* gives collections the UUIDs that they had. *made* names
    collections (``database.collection`` on the target) that are there already, and empty. Without *views* none are
    made; the report has them. *make_direct* makes what an oplog makes and can't be renamed: time series, collections
    with encrypted fields; without it they are refused where names have a prefix.
    """

    names: NamespaceMap = field(default_factory=NamespaceMap)
    threads: int = 4
    preserve_uuid: bool = False
    users_into: str | None = None
    users_of: frozenset[str] | None = None
    made: frozenset[str] = frozenset()
    views: bool = True
    make_direct: MakeDirect | None = None
    finish: bool = True


@dataclass(frozen=True)
class LoadedCollection:
    """One collection, view or time series: *source* and *target* are ``database.name`` in the archive and now.

    *documents* and *size* (bytes) are those of the archive, before any oplog; of a time series they count buckets.
    """

    source: str
    target: str
    type: str
    documents: int
    size: int
    checksum: int
    indexes: int


@dataclass(frozen=True)
class LoadReport:
    """What was loaded. *left_out* names what the archive has beside it; *oplog* is None when it has none. *views* are
    (database, name, options) on the target, as they are after the oplog; *plans* what is or will be made in the end.
    """

    collections: tuple[LoadedCollection, ...]
    left_out: tuple[str, ...]
    users: int = 0
    roles: int = 0
    oplog: ReplayReport | None = None
    views: tuple[tuple[str, str, t.Mapping[str, t.Any]], ...] = ()
    plans: tuple[IndexPlan, ViewPlan] = field(default_factory=lambda: (IndexPlan(), ViewPlan()))

    @property
    def documents(self) -> int:
        """All documents together, users and roles left out."""
        return sum(one.documents for one in self.collections)

    def counts(self) -> dict[str, int]:
        """Documents by ``database.name`` in the archive."""
        return {one.source: one.documents for one in self.collections}
