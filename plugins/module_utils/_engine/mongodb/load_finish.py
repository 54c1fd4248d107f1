# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made when all documents are as they are to be: indexes, removal by age, views."""

from __future__ import annotations

import typing as t

from .collection_making import WRITE_CONCERN, at_once, create_indexes
from .faults import named_faults
from .load_plans import IndexPlan, ViewPlan
from .namespace_map import NamespaceMap

if t.TYPE_CHECKING:
    from .connection import Client

#: The option of a time series or a clustered collection by which the server removes documents (TTL), in seconds.
AGE = "expireAfterSeconds"


def build_indexes(client: Client, plan: IndexPlan, *, names: NamespaceMap, threads: int) -> None:
    """Build all of a plan, those of so many collections at the same time. Raises MongoLoadFailed and
    MongoNotAuthorised.
    """
    actions = []
    for database, name, indexes in plan.all():
        target = names.target(database, name)
        if target is not None:
            actions.append(_later(create_indexes, client, *target, indexes))
    at_once(actions, threads=threads)


def set_ages(client: Client, plan: IndexPlan, *, names: NamespaceMap) -> None:
    """From now on the server removes what is too old. Raises the faults' errors."""
    for database, name, seconds in plan.ages():
        target = names.target(database, name)
        if target is not None:
            with named_faults(f"Setting the age of {'.'.join(target)}", role="restore, dbAdminAnyDatabase"):
                command = {"collMod": target[1], AGE: seconds, "writeConcern": dict(WRITE_CONCERN)}
                client[target[0]].command(command)


def target_views(plan: ViewPlan, *, names: NamespaceMap) -> tuple[tuple[str, str, t.Mapping[str, t.Any]], ...]:
    """The views to make (database, name, options), as they are in the end and under the names that they get."""
    found: list[tuple[str, str, t.Mapping[str, t.Any]]] = []
    for database, name, options in plan.all():
        target = names.target(database, name)
        if target is not None:
            found.append((*target, options))
    return tuple(found)


def _later(action: t.Callable[..., None], *arguments: t.Any) -> t.Callable[[], None]:
    return lambda: action(*arguments)
