# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchanging collections: the old ones step aside and the new ones take their names, each by a rename and by its UUID.

A collection keeps its UUID whatever it is called, so whoever goes on after a death sees what has been done. Between two
renames a name is free for a moment, and an application may make a collection of that name: it is moved aside, too.
"""

from __future__ import annotations

import typing as t

from ..core.errors import RestoreIncomplete, RestoreTargetInvalid
from .namespaces import VIEW
from .restore_commands import rename
from .restore_names import RestoreNames
from .restore_target import Existing, existing_in

if t.TYPE_CHECKING:
    from .connection import Client

#: One name: the UUIDs of what takes it (None: nothing does) and of what had it (None: nothing had).
Pair = t.Mapping[str, t.Any]
_ATTEMPTS = 20


def pair(database: str, name: str, *, new: str | None, old: str | None) -> dict[str, t.Any]:
    """As it stands in the ledger."""
    return {"database": database, "name": name, "new": new, "old": old}


class Exchange:
    """The names of one restore's collections, there and back."""

    def __init__(self, client: Client, names: RestoreNames) -> None:
        self._client = client
        self._names = names
        self._listed: dict[str, dict[str, Existing]] = {}

    def forth(self, pairs: t.Sequence[Pair]) -> None:
        """Give every name to its new collection. What is done already is left. Raises RestoreTargetInvalid."""
        for one in pairs:
            self._attempt(one, self._forth)

    def back(self, pairs: t.Sequence[Pair]) -> None:
        """Give every name back to what had it; the new collections get their staging names again."""
        for one in reversed(pairs):
            self._attempt(one, self._back)

    def _attempt(self, one: Pair, step: t.Callable[[Pair], bool]) -> None:
        for _number in range(_ATTEMPTS):
            if step(one):
                return
        raise RestoreTargetInvalid(
            f"{one['database']}.{one['name']} is made or removed by somebody again and again.",
            hint="Stop the applications that use it, then restore again.",
            details={"collection": f"{one['database']}.{one['name']}"},
        )

    def _forth(self, one: Pair) -> bool:
        """One rename, when one is to be made; whether there is nothing left to do."""
        name, new, old = str(one["name"]), one["new"], one["old"]
        holder = self._all(one).get(name)
        if holder is not None and holder.uuid is not None and holder.uuid == new:
            return True
        if holder is not None:
            is_old = holder.uuid is not None and holder.uuid == old
            if not is_old and new is None:
                return True  # what was to step aside has, and somebody made another one
            prefix = self._names.before if is_old else self._names.between
            return self._move(one, holder, self._free(one, prefix)) and new is None
        if new is None:
            return True
        staged = self._find(one, new)
        if staged is None:
            raise RestoreIncomplete(
                f"What was loaded for {one['database']}.{name} is gone; somebody removed it.",
                hint="Restore again.",
                details={"collection": f"{one['database']}.{name}"},
            )
        return self._move(one, staged, name)

    def _back(self, one: Pair) -> bool:
        name, new, old = str(one["name"]), one["new"], one["old"]
        former = self._find(one, old)
        if old is not None and former is None:
            raise RestoreTargetInvalid(
                f"What {one['database']}.{name} was before is gone, so it can't be put back.",
                hint="Keep what is there, or restore another backup.",
                details={"collection": f"{one['database']}.{name}"},
            )
        holder = self._all(one).get(name)
        if holder is not None and holder.uuid is not None and holder.uuid == new:
            return self._move(one, holder, self._free(one, self._names.staging)) and former is None and self._rest(one)
        if former is None:
            return self._rest(one)
        if former.name == name:
            return True
        if holder is not None:
            self._move(one, holder, self._free(one, self._names.between))
            return False
        return self._move(one, former, name)

    def _rest(self, one: Pair) -> bool:
        """Where nothing was: what somebody made there in the middle gets its name back."""
        name = str(one["name"])
        between = self._all(one).get(self._names.aside(name, prefix=self._names.between))
        if between is not None and name not in self._all(one):
            return self._move(one, between, name)
        return True

    def _move(self, one: Pair, what: Existing, to: str) -> bool:
        """Rename it; False when that has to be looked at again."""
        if not what.can_be_renamed:
            kind = "view" if what.type == VIEW else "time series or an encrypted collection"
            raise RestoreTargetInvalid(
                f"Somebody made {what.full_name} as a {kind} in the middle of the restore; it can't step aside.",
                hint="Remove it or give it another name, stop who makes it, then restore again.",
                details={"collection": what.full_name},
            )
        if not rename(self._client, what.database, what.name, to):
            self._listed.pop(what.database, None)  # somebody else has changed what is there
            return False
        listed = self._all(one)
        moved = listed.pop(what.name)
        listed[to] = Existing(database=moved.database, name=to, type=moved.type, uuid=moved.uuid, options=moved.options)
        return True

    def _all(self, one: Pair) -> dict[str, Existing]:
        database = str(one["database"])
        if database not in self._listed:
            self._listed[database] = existing_in(self._client, database)
        return self._listed[database]

    def _find(self, one: Pair, uuid: str | None) -> Existing | None:
        if uuid is None:
            return None
        return next((found for found in self._all(one).values() if found.uuid == uuid), None)

    def _free(self, one: Pair, prefix: str) -> str:
        wanted = name = self._names.aside(str(one["name"]), prefix=prefix)
        number = 1
        while name in self._all(one):
            number += 1
            name = f"{wanted}.{number}"
        return name
