# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes and views that are to be made when everything else is loaded, and what an oplog changes in them. Pure.

Indexes come last: a collection that was read while it changed may break a unique index until the oplog has mended it.
Views come last: an insert into system.views can't be replayed where no view was made before (TOOLS-4426). What makes
the server remove documents by their age (TTL) comes last, too: else it would remove what is still to be changed.
"""

from __future__ import annotations

import json
import typing as t

from .namespace_map import BUCKETS

Indexes = tuple[t.Mapping[str, t.Any], ...]
_Key = tuple[str, str]


class IndexPlan:
    """The indexes of each collection, by their names in the archive (a time series' by its own name)."""

    def __init__(self) -> None:
        self._indexes: dict[_Key, dict[str, dict[str, t.Any]]] = {}
        self._meta_fields: dict[_Key, str | None] = {}
        self._ages: dict[_Key, t.Any] = {}

    def begin(self, database: str, name: str, indexes: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        """What the archive's metadata says, or nothing for a collection that was just made."""
        self._indexes[database, name] = {str(index["name"]): dict(index) for index in indexes}

    def all(self) -> t.Iterator[tuple[str, str, Indexes]]:
        """Every collection with its indexes."""
        for (database, name), indexes in self._indexes.items():
            yield database, name, tuple(indexes.values())

    def add(self, database: str, name: str, index: t.Mapping[str, t.Any]) -> None:
        """An index was made. Of a time series *name* is that of its buckets, and the keys are theirs."""
        if index.get("name") == "_id_":
            return
        noise = ("v", "ns", "background", "createIndexes", "originalSpec")
        kept = {key: value for key, value in index.items() if key not in noise}
        if name.startswith(BUCKETS):
            name = name.removeprefix(BUCKETS)
            original = index.get("originalSpec")
            if original is not None:
                kept = {key: value for key, value in original.items() if key not in noise}
            else:
                kept["key"] = series_key(index["key"], meta_field=self._meta_fields.get((database, name)))
        self._indexes.setdefault((database, name), {})[str(kept["name"])] = kept

    def series(self, database: str, name: str, options: t.Mapping[str, t.Any]) -> None:
        """A time series is there; *options* are its ``timeseries``."""
        self._meta_fields[database, name] = options.get("metaField")

    def age(self, database: str, name: str, seconds: t.Any) -> None:
        """The collection itself removes documents after so many seconds (``expireAfterSeconds``), or with "off" not."""
        self._ages[database, _own_name(name)] = seconds

    def ages(self) -> t.Iterator[tuple[str, str, t.Any]]:
        """Every collection that does, with its seconds."""
        for (database, name), seconds in self._ages.items():
            if seconds != "off":
                yield database, name, seconds

    def remove(self, database: str, name: str, index: str) -> None:
        """An index was dropped."""
        self._indexes.get((database, _own_name(name)), {}).pop(index, None)

    def change(self, database: str, name: str, changes: t.Mapping[str, t.Any]) -> None:
        """An index was changed by collMod."""
        for index in self._indexes.get((database, _own_name(name)), {}).values():
            if changes.get("name") == index["name"] or changes.get("keyPattern") == index["key"]:
                index.update({key: value for key, value in changes.items() if key not in ("name", "keyPattern")})

    def drop(self, database: str, name: str | None) -> None:
        """A collection is gone; without *name* its whole database."""
        for key in [key for key in self._indexes if key[0] == database and name in (None, key[1])]:
            del self._indexes[key]
        for key in [key for key in self._ages if key[0] == database and name in (None, key[1])]:
            del self._ages[key]

    def rename(self, old: _Key, new: _Key) -> None:
        """A collection got another name; what had it is gone."""
        self.drop(*new)
        self._indexes[new] = self._indexes.pop(old, {})
        if old in self._ages:
            self._ages[new] = self._ages.pop(old)


def series_key(key: t.Mapping[str, t.Any], *, meta_field: str | None) -> dict[str, t.Any]:
    """The key of a time series' index, from that of the index on its buckets. Pure.

    A field of the measurements is a pair there, its least and its greatest value in the bucket, in the order of the
    direction; the field of the metadata is called ``meta``.
    """
    found: dict[str, t.Any] = {}
    for field, direction in key.items():
        if field == "meta" or field.startswith("meta."):
            found[f"{meta_field}{field[len('meta') :]}"] = direction
        elif field.startswith("control."):
            found.setdefault(field.split(".", 2)[2], direction)
        else:
            found[field] = direction
    return found


def _own_name(name: str) -> str:
    return name.removeprefix(BUCKETS)


class ViewPlan:
    """The views, by their names in the archive, in the order in which they were made."""

    def __init__(self) -> None:
        self._views: dict[_Key, dict[str, t.Any]] = {}

    def add(self, database: str, name: str, options: t.Mapping[str, t.Any]) -> None:
        """A view is there, or was changed."""
        self._views[database, name] = dict(options)

    def get(self, database: str, name: str) -> t.Mapping[str, t.Any] | None:
        """The options of a view; None when there is none of the name."""
        return self._views.get((database, name))

    def drop(self, database: str, name: str | None) -> None:
        """A view is gone; without *name* those of the whole database."""
        for key in [key for key in self._views if key[0] == database and name in (None, key[1])]:
            del self._views[key]

    def all(self) -> t.Iterator[tuple[str, str, t.Mapping[str, t.Any]]]:
        """Every view with its options."""
        for (database, name), options in self._views.items():
            yield database, name, options


def plans_as_json(indexes: IndexPlan, views: ViewPlan) -> dict[str, t.Any]:
    """Both plans as JSON values (canonical extended JSON inside), for a ledger."""
    from bson import json_util

    document = {
        "indexes": [[*key, list(one.values())] for key, one in indexes._indexes.items()],  # noqa: SLF001
        "series": [[*key, one] for key, one in indexes._meta_fields.items()],  # noqa: SLF001
        "ages": [[*key, one] for key, one in indexes._ages.items()],  # noqa: SLF001
        "views": [[database, name, dict(options)] for database, name, options in views.all()],
    }
    found: dict[str, t.Any] = json.loads(json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS))
    return found


def plans_from_json(noted: t.Mapping[str, t.Any]) -> tuple[IndexPlan, ViewPlan]:
    """The inverse of :func:`plans_as_json`."""
    from bson import json_util

    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False, document_class=dict)
    document = json_util.loads(json.dumps(noted), json_options=options)
    indexes, views = IndexPlan(), ViewPlan()
    for database, name, found in document["indexes"]:
        indexes.begin(database, name, found)
    for database, name, meta_field in document["series"]:
        indexes.series(database, name, {"metaField": meta_field})
    for database, name, seconds in document["ages"]:
        indexes.age(database, name, seconds)
    for database, name, found in document["views"]:
        views.add(database, name, found)
    return indexes, views
