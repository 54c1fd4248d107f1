# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in an oplog (create, drop, collMod ...), run on the target under the names that it has there."""

from __future__ import annotations

import typing as t

from ..core.errors import LifeboatError, MongoOplogNotReplayable
from .apply_ops import ApplyOps
from .bson_bytes import MalformedBson
from .collection_metadata import NOT_FOR_CREATE
from .faults import NAMESPACE_NOT_FOUND, named_faults
from .load_plans import IndexPlan, ViewPlan
from .namespace_map import BUCKETS, NamespaceMap
from .namespaces import faithful_codec
from .oplog_entry import OplogEntry

if t.TYPE_CHECKING:
    from .connection import Client

_NAMESPACE_EXISTS = 48
# What other servers need to know, and a restored one does not; indexes are built at the end.
_PASSED_OVER = frozenset(("startIndexBuild", "abortIndexBuild", "setMultikeyMetadata", "dropIdent", "dbCheck"))
_Document = dict[str, t.Any]
#: Makes a collection under its own name at once: database and name on the target, options.
MakeDirect = t.Callable[[str, str, t.Mapping[str, t.Any]], None]


class OplogCommands:
    """Runs one command after the other, each alone, when all operations before it are applied."""

    def __init__(
        self,
        *,
        client: Client,
        names: NamespaceMap,
        operations: ApplyOps,
        indexes: IndexPlan,
        views: ViewPlan,
        make_direct: MakeDirect | None = None,
    ) -> None:
        self._make_direct = make_direct
        self._client = client
        self._names = names
        self._operations = operations
        self._indexes = indexes
        self._views = views
        self._known: t.Mapping[str, t.Callable[[str, _Document], None]] = {
            "create": self._create,
            "drop": self._drop,
            "dropDatabase": self._drop_database,
            "collMod": self._coll_mod,
            "createIndexes": self._create_index,
            "commitIndexBuild": self._commit_index_build,
            "dropIndexes": self._drop_indexes,
            "dropIndex": self._drop_indexes,
            "deleteIndexes": self._drop_indexes,
            "deleteIndex": self._drop_indexes,
        }

    def run(self, entry: OplogEntry) -> None:
        """Do what a *c* entry says. Raises MongoOplogNotReplayable for a command that nobody knows."""
        name = entry.command
        if name in _PASSED_OVER or entry.database in ("config", "local"):
            return
        if self._names.database(entry.database) is None:
            return
        doing = self._known.get(name)
        if doing is None:
            raise MongoOplogNotReplayable(
                f"The archive's oplog has the command {name!r}, which can't be replayed.",
                hint="Restore another backup: lifeboat list shows them.",
                details={"command": name},
            )
        self._operations.flush()
        body = _decode(entry)
        if name != "dropDatabase" and not isinstance(body.get(name), str):
            raise MalformedBson(f"the command {name} of an entry names no collection")
        doing(entry.database, body)

    def view(self, entry: OplogEntry) -> None:
        """A change of a database's system.views: what the views are in the end is all that matters."""
        body = _decode(entry)
        criterion = body if entry.kind != "u" else _decode(entry, b"o2")
        database, _dot, name = str(criterion.get("_id", "")).partition(".")
        if entry.kind == "d":
            self._views.drop(database, name)
            return
        if "viewOn" not in body:
            raise MongoOplogNotReplayable(
                f"The archive's oplog changes the view {database}.{name} in a way that can't be replayed.",
                hint="Restore another backup: lifeboat list shows them.",
            )
        if not str(body["viewOn"]).startswith(BUCKETS):  # else a time series, made by the command of its buckets
            self._views.add(database, name, {key: value for key, value in body.items() if key != "_id"})

    def _create(self, database: str, body: _Document) -> None:
        name = str(body["create"])
        if name.startswith(BUCKETS):
            name = name[len(BUCKETS) :]
        elif name.startswith("system.") and name != "system.js":
            return
        target = self._names.target(database, name)
        if target is None:
            return
        options = {key: value for key, value in body.items() if key not in ("create", *NOT_FOR_CREATE)}
        if "timeseries" in options:
            # What the server itself put onto the buckets.
            options = {key: value for key, value in options.items() if key not in ("validator", "clusteredIndex")}
            self._indexes.series(database, name, options["timeseries"])
        if ("timeseries" in options or "encryptedFields" in options) and self._names.is_staged(database, name):
            self._create_direct(database, name, options)
            return
        self._run(target[0], {"create": target[1], **options}, passing=_NAMESPACE_EXISTS)
        self._operations.owed.discard(".".join(target))

    def _create_direct(self, database: str, name: str, options: _Document) -> None:
        if self._make_direct is None:
            raise MongoOplogNotReplayable(
                f"{database}.{name} was made during the dump, and no collection of its kind can be renamed: it can't "
                "be loaded beside and then take its name.",
                hint="Restore another backup; or this one, into an empty server, by the commands of its RESTORE.md.",
                details={"collection": f"{database}.{name}"},
            )
        self._names.late.add(f"{database}.{name}")
        target = self._names.target(database, name)
        if target is not None:
            self._make_direct(*target, options)

    def _drop(self, database: str, body: _Document) -> None:
        name = str(body["drop"])
        target = self._names.target(database, name)
        self._indexes.drop(database, name.removeprefix(BUCKETS))
        if target is None or (name.startswith("system.") and name != "system.js" and not name.startswith(BUCKETS)):
            return
        self._operations.dropped(".".join(target))
        # Dropping a time series by its buckets' name is not allowed; by its own it is the same.
        own = target[1].removeprefix(BUCKETS)
        self._run(target[0], {"drop": own}, passing=NAMESPACE_NOT_FOUND)

    def _drop_database(self, database: str, body: _Document) -> None:
        del body
        for name in [name for known, name, _indexes in self._indexes.all() if known == database]:
            self._drop(database, {"drop": name})
        prefix = f"{self._names.database(database)}."
        self._operations.owed -= {one for one in self._operations.owed if one.startswith(prefix)}
        self._views.drop(database, None)

    def _coll_mod(self, database: str, body: _Document) -> None:
        name = str(body["collMod"])
        target = self._names.target(database, name)
        if target is None:
            return
        index = body.get("index")
        if isinstance(index, dict):
            self._indexes.change(database, name, index)
        changes = {key: value for key, value in body.items() if key not in ("collMod", "index")}
        if changes:
            own = target[1].removeprefix(BUCKETS)
            self._run(target[0], {"collMod": own, **changes}, passing=NAMESPACE_NOT_FOUND)

    def _create_index(self, database: str, body: _Document) -> None:
        self._indexes.add(database, str(body["createIndexes"]), body)

    def _commit_index_build(self, database: str, body: _Document) -> None:
        for index in body.get("indexes", ()):
            self._indexes.add(database, str(body["commitIndexBuild"]), index)

    def _drop_indexes(self, database: str, body: _Document) -> None:
        command = next(iter(body))
        self._indexes.remove(database, str(body[command]), str(body.get("index", "")))

    def _run(self, database: str, command: _Document, *, passing: int) -> None:
        name = next(iter(command))
        try:
            with named_faults(f"Replaying {name} {database}.{command[name]}", role="restore, dbAdminAnyDatabase"):
                self._client[database].command({**command, "writeConcern": {"w": "majority"}})
        except LifeboatError as error:
            if error.details.get("server_code") != passing:
                raise


def _decode(entry: OplogEntry, key: bytes = b"o") -> _Document:
    import bson

    element = entry.field(key)
    if element is None:
        raise MalformedBson(f"an entry has no {key.decode()}")
    try:
        return bson.decode(entry.value(element), codec_options=faithful_codec())
    except (bson.errors.InvalidBSON, ValueError, OverflowError) as error:
        raise MalformedBson(str(error)) from error
