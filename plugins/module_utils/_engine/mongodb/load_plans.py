# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes and views that are to be made when everything else is loaded, and what an oplog changes in them. Pure.

Indexes come last: a collection that was read while it changed may break a unique index until the oplog has mended it.
Views come last: an insert into system.views can't be replayed where no view was made before (TOOLS-4426).
"""

from __future__ import annotations

import typing as t

from .namespace_map import BUCKETS

Indexes = tuple[t.Mapping[str, t.Any], ...]


class IndexPlan:
    """The indexes of each collection, by their names in the archive (a time series' by its own name)."""

    def __init__(self) -> None:
        self._indexes: dict[tuple[str, str], dict[str, dict[str, t.Any]]] = {}

    def begin(self, database: str, name: str, indexes: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        """What the archive's metadata says."""
        self._indexes[database, name] = {str(index["name"]): dict(index) for index in indexes}

    def all(self) -> t.Iterator[tuple[str, str, Indexes]]:
        """Every collection with its indexes."""
        for (database, name), indexes in self._indexes.items():
            yield database, name, tuple(indexes.values())

    def add(self, database: str, name: str, index: t.Mapping[str, t.Any]) -> None:
        """An index was made."""
        if name.startswith(BUCKETS) or index.get("name") == "_id_":
            return  # a time series' indexes are noted by its buckets' keys; the server makes the usual one by itself
        kept = {key: value for key, value in index.items() if key not in ("v", "ns", "background", "createIndexes")}
        self._indexes.setdefault((database, name), {})[str(kept["name"])] = kept

    def remove(self, database: str, name: str, index: str) -> None:
        """An index was dropped."""
        self._indexes.get((database, name), {}).pop(index, None)

    def change(self, database: str, name: str, changes: t.Mapping[str, t.Any]) -> None:
        """An index was changed by collMod."""
        for index in self._indexes.get((database, name), {}).values():
            if changes.get("name") == index["name"] or changes.get("keyPattern") == index["key"]:
                index.update({key: value for key, value in changes.items() if key not in ("name", "keyPattern")})

    def drop(self, database: str, name: str | None) -> None:
        """A collection is gone; without *name* its whole database."""
        for key in [key for key in self._indexes if key[0] == database and name in (None, key[1])]:
            del self._indexes[key]


class ViewPlan:
    """The views, by their names in the archive, in the order in which they were made."""

    def __init__(self) -> None:
        self._views: dict[tuple[str, str], dict[str, t.Any]] = {}

    def add(self, database: str, name: str, options: t.Mapping[str, t.Any]) -> None:
        """A view is there, or was changed."""
        self._views[database, name] = dict(options)

    def drop(self, database: str, name: str | None) -> None:
        """A view is gone; without *name* those of the whole database."""
        for key in [key for key in self._views if key[0] == database and name in (None, key[1])]:
            del self._views[key]

    def all(self) -> t.Iterator[tuple[str, str, t.Mapping[str, t.Any]]]:
        """Every view with its options."""
        for (database, name), options in self._views.items():
            yield database, name, options
