# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the collections of an archive go: which are taken, and under which names. Pure."""

from __future__ import annotations

import fnmatch
import re
import typing as t
from dataclasses import dataclass, field

BUCKETS = "system.buckets."


@dataclass(frozen=True)
class NamespaceMap:
    """Names in the archive to names on the target; the same ones when nothing is said.

    *databases* maps each database that is taken to the one that it becomes; None takes all of them, under the names
    that *renamed* gives and with *suffix* behind all other names. *include* and
    *exclude* are shell patterns of ``database.collection`` in the archive; *within*, where given, must match as well as
    *include*. *prefix* is put before the names of
    collections (a staging name within the same database), but for those whose ``database.collection`` is in
    *unprefixed*, or in *late*: what is added there while an oplog is replayed. *anew* holds those that were of the
    former and whose name is free again: it was dropped, and what gets it next goes by the prefix, unless it is late.
    """

    databases: t.Mapping[str, str] | None = None
    renamed: t.Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    prefix: str = ""
    unprefixed: frozenset[str] = field(default_factory=frozenset)
    late: set[str] = field(default_factory=set)
    anew: set[str] = field(default_factory=set)

    def database(self, name: str) -> str | None:
        """What a database is called on the target, None when nothing of it is taken."""
        if self.databases is None:
            return self.renamed.get(name, name + self.suffix)
        return self.databases.get(name)

    def is_staged(self, database: str, name: str) -> bool:
        """Whether it goes to a name with the prefix, from which it is to be renamed."""
        full = f"{database}.{name}"
        if not self.prefix or full in self.late:
            return False
        return full not in self.unprefixed or full in self.anew

    def made_directly(self, database: str, name: str) -> None:
        """From now on it goes to its own name, without the prefix."""
        self.late.add(f"{database}.{name}")

    def freed(self, database: str, name: str) -> None:
        """What had the name is gone."""
        full = f"{database}.{name}"
        self.late.discard(full)
        if full in self.unprefixed:
            self.anew.add(full)

    def takes(self, database: str, name: str) -> bool:
        """Whether a collection, view or time series (by its own name, not that of its buckets) is taken."""
        if self.database(database) is None:
            return False
        full = f"{database}.{name}"
        for patterns in (self.include, self.within):
            if patterns and not any(fnmatch.fnmatchcase(full, pattern) for pattern in patterns):
                return False
        return not any(fnmatch.fnmatchcase(full, pattern) for pattern in self.exclude)

    def target(self, database: str, name: str) -> tuple[str, str] | None:
        """Database and name on the target, None when it is not taken; buckets go where their time series goes."""
        if name.startswith(BUCKETS):
            found = self.target(database, name[len(BUCKETS) :])
            return None if found is None else (found[0], BUCKETS + found[1])
        if not self.takes(database, name):
            return None
        if self.is_staged(database, name):
            name = self.prefix + without_system(name)
        return str(self.database(database)), name


def without_system(name: str) -> str:
    """The name as it may stand behind a prefix: ".system." within a name is the server's own. Pure."""
    return name.replace(".", "%", 1) if name.startswith("system.") else name


def literal(name: str) -> str:
    """A shell pattern for this name alone. Pure."""
    return re.sub(r"([*?\[])", r"[\1]", name)
