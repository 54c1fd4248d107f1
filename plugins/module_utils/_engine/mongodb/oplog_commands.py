# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in an oplog (create, drop, collMod ...), run on the target under the names that it has there."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, MongoOplogNotReplayable
from .apply_ops import ApplyOps
from .bson_bytes import MalformedBson
from .collection_metadata import NOT_FOR_CREATE
from .faults import NAMESPACE_NOT_FOUND, named_faults
from .load_plans import IndexPlan, ViewPlan
from .namespace_map import BUCKETS, NamespaceMap
from .namespaces import faithful_codec, is_backed_up_database
from .oplog_entry import OplogEntry

if t.TYPE_CHECKING:
    from .connection import Client

_NAMESPACE_EXISTS = 48
_ROLES = "restore, readWriteAnyDatabase, dbAdminAnyDatabase"
# What other servers need to know, and a restored one does not; indexes are built at the end.
_PASSED_OVER = frozenset(("startIndexBuild", "abortIndexBuild", "setMultikeyMetadata", "dropIdent", "dbCheck"))
#: The commands of an oplog that a replay knows what to do with, beside those of transactions (applyOps and so on).
REPLAYED_COMMANDS = frozenset(
    (
        "create", "drop", "dropDatabase", "collMod", "createIndexes", "commitIndexBuild", "dropIndexes", "dropIndex",
        "deleteIndexes", "deleteIndex", "renameCollection", "convertToCapped", *_PASSED_OVER,
    )
)  # fmt: skip
_Document = dict[str, t.Any]
#: Makes a collection under its own name at once: database and name on the target, options.
MakeDirect = t.Callable[[str, str, t.Mapping[str, t.Any]], None]


@dataclass(frozen=True)
class Origin:
    """Whose oplog is replayed, for messages: *what* begins a sentence, *when* says of what it was a part, *whole* is
    all of it.

    With *ages_last* nothing may be removed by its age before the replay has ended: collections that do so by
    themselves are made without, and IndexPlan.ages() has them.
    """

    what: str
    when: str
    whole: str
    hint: str
    ages_last: bool = False


ARCHIVE = Origin(
    what="The archive's oplog",
    when="during the dump",
    whole="the archive",
    hint="Restore another backup: lifeboat list shows them.",
)
STREAM = Origin(
    what="The stored oplog",
    when="after the backup",
    whole="the slices",
    hint="Recover to a moment before it, or from a later full backup; lifeboat windows shows both.",
    ages_last=True,
)


class OplogCommands:
    """Runs one command after the other, each alone, when all operations before it are applied.

    *gone* says of collections that were renamed to where nothing is taken.
    """

    def __init__(
        self,
        *,
        client: Client,
        names: NamespaceMap,
        operations: ApplyOps,
        indexes: IndexPlan,
        views: ViewPlan,
        make_direct: MakeDirect | None = None,
        origin: Origin = ARCHIVE,
    ) -> None:
        self.gone: list[str] = []
        self._make_direct = make_direct
        self._origin = origin
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
            "renameCollection": self._rename,
            "convertToCapped": self._convert_to_capped,
        }

    def run(self, entry: OplogEntry) -> None:
        """Do what a *c* entry says. Raises MongoOplogNotReplayable for a command that nobody knows."""
        name = entry.command
        if name in _PASSED_OVER or entry.database == "config" or not is_backed_up_database(entry.database):
            return
        if self._names.database(entry.database) is None:
            return
        doing = self._known.get(name)
        if doing is None:
            raise MongoOplogNotReplayable(
                f"{self._origin.what} has the command {name!r}, which can't be replayed.",
                hint=self._origin.hint,
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
        if entry.kind == "u" and "viewOn" not in body:
            body = self._changed_view(database, name, body)
        if "viewOn" not in body:
            raise MongoOplogNotReplayable(
                f"{self._origin.what} changes the view {database}.{name} in a way that can't be replayed.",
                hint=self._origin.hint,
            )
        if not str(body["viewOn"]).startswith(BUCKETS):  # else a time series, made by the command of its buckets
            self._views.add(database, name, {key: value for key, value in body.items() if key != "_id"})

    def _changed_view(self, database: str, name: str, changes: _Document) -> _Document:
        """The options of a view after an update of some of its fields ($v: 2); empty where that can't be told."""
        before, difference = self._views.get(database, name), changes.get("diff")
        if before is None or not isinstance(difference, dict) or not set(difference) <= {"u", "i", "d"}:
            return {}
        after = {key: value for key, value in before.items() if key not in difference.get("d", {})}
        return {**after, **difference.get("u", {}), **difference.get("i", {})}

    def _create(self, database: str, body: _Document) -> None:
        name = str(body["create"])
        if name.startswith(BUCKETS):
            name = name[len(BUCKETS) :]
        elif name.startswith("system.") and name != "system.js":
            return
        target = self._names.target(database, name)
        if target is None:
            return
        options = {key: value for key, value in body.items() if key not in ("create", "temp", *NOT_FOR_CREATE)}
        if "timeseries" in options:
            # What the server itself put onto the buckets.
            options = {key: value for key, value in options.items() if key not in ("validator", "clusteredIndex")}
            self._indexes.series(database, name, options["timeseries"])
        if "expireAfterSeconds" in options and self._ages_last:
            self._indexes.age(database, name, options.pop("expireAfterSeconds"))
        if ("timeseries" in options or "encryptedFields" in options) and self._names.is_staged(database, name):
            self._create_direct(database, name, options)
            return
        self._run(target[0], {"create": target[1], **options}, passing=_NAMESPACE_EXISTS)
        self._operations.made(".".join(target))

    def _create_direct(self, database: str, name: str, options: _Document) -> None:
        if self._make_direct is None:
            raise MongoOplogNotReplayable(
                f"{database}.{name} was made {self._origin.when}, and no collection of its kind can be renamed: it "
                "can't be loaded beside and then take its name.",
                hint="Restore another backup; or this one, into an empty server, by the commands of its RESTORE.md.",
                details={"collection": f"{database}.{name}"},
            )
        self._names.made_directly(database, name)
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
        self._names.freed(database, name.removeprefix(BUCKETS))

    def _rename(self, database: str, body: _Document) -> None:
        """Within a database; renaming into another one is a copy, which the oplog has document by document."""
        old, new = _parts(str(body["renameCollection"])), _parts(str(body.get("to", "")))
        source, target = self._names.target(*old), self._names.target(*new)
        if source is None and target is None:
            return
        if source is None:
            raise MongoOplogNotReplayable(
                f"{'.'.join(old)} became {'.'.join(new)}, and only the latter is to be recovered.",
                hint="Recover the whole database (databases: instead of collections:), and take the collection.",
                details={"from": ".".join(old), "to": ".".join(new)},
            )
        if target is None:
            self._drop(old[0], {"drop": old[1]})
            self.gone.append(f"{'.'.join(old)} became {'.'.join(new)}, which is not recovered.")
            return
        self._operations.dropped(".".join(target))
        if self._operations.forgives(".".join(source)) or self._operations.forgives(".".join(target)):
            self._operations.forgive(".".join(target))
        command = {
            "renameCollection": ".".join(source),
            "to": ".".join(target),
            "dropTarget": bool(body.get("dropTarget", False)),
        }
        passing = NAMESPACE_NOT_FOUND if self._operations.forgives(".".join(source)) else None
        self._run("admin", command, passing=passing)
        self._indexes.rename(old, new)

    def _convert_to_capped(self, database: str, body: _Document) -> None:
        name = str(body["convertToCapped"])
        target = self._names.target(database, name)
        if target is None:
            return
        self._indexes.begin(database, name, ())  # the server keeps none but that on _id
        self._run(target[0], {"convertToCapped": target[1], "size": body["size"]}, passing=NAMESPACE_NOT_FOUND)

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
        if "expireAfterSeconds" in changes and self._ages_last:
            self._indexes.age(database, name, changes.pop("expireAfterSeconds"))
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

    @property
    def _ages_last(self) -> bool:
        """Whether nothing may be removed by its age before everything is replayed."""
        return self._origin.ages_last

    def _run(self, database: str, command: _Document, *, passing: int | None) -> None:
        name = next(iter(command))
        try:
            with named_faults(f"Replaying {name} of {command[name]} in {database}", role=_ROLES):
                self._client[database].command({**command, "writeConcern": {"w": "majority"}})
        except LifeboatError as error:
            if passing is None or error.details.get("server_code") != passing:
                raise


def _parts(full: str) -> tuple[str, str]:
    database, _dot, name = full.partition(".")
    if not database or not name:
        raise MalformedBson(f"{full!r} names no collection")
    return database, name


def _decode(entry: OplogEntry, key: bytes = b"o") -> _Document:
    import bson

    element = entry.field(key)
    if element is None:
        raise MalformedBson(f"an entry has no {key.decode()}")
    try:
        return bson.decode(entry.value(element), codec_options=faithful_codec())
    except (bson.errors.InvalidBSON, ValueError, OverflowError) as error:
        raise MalformedBson(str(error)) from error
