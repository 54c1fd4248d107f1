# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of loading an archive, held against the archive and against itself."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..recovery.questions import FAILED, PASSED, SKIPPED, Check
from .archive import ArchiveCollection
from .collection_metadata import read_metadata
from .faults import named_faults
from .load_values import LoadedCollection, LoadReport
from .namespace_map import BUCKETS
from .namespaces import TIME_SERIES, VIEW, faithful_codec

if t.TYPE_CHECKING:
    from .connection import Client

_SHOWN = 5
# How validate begins to speak of documents that don't fit the collection's validator: the source has them, too.
_MISFIT = "not compliant with the collection's schema"
# What a server says about an index that is no part of what was asked for.
_INDEX_NOISE = frozenset(("v", "ns", "background"))


@dataclass(frozen=True)
class RestoredCollection:
    """One collection as it is now. *records* counts documents (a time series': buckets) as validate saw them, None for
    views; *complaints* are what validate found, but for the *misfits*: documents that the collection's validator would
    refuse today, which are older than it. *indexes* is by name, without that on _id.
    """

    records: int | None
    complaints: tuple[str, ...]
    misfits: int
    indexes: t.Mapping[str, t.Mapping[str, t.Any]]
    options: t.Mapping[str, t.Any]


def look_at(client: Client, loaded: LoadedCollection) -> RestoredCollection | None:
    """Validate a collection and read its indexes and options; None when it isn't there. Raises the faults' errors."""
    database, _dot, name = loaded.target.partition(".")
    with named_faults(f"Looking at {loaded.target}"):
        handle = client.get_database(database, codec_options=faithful_codec())
        entries = list(handle.list_collections(filter={"name": name}))
        if not entries:
            return None
        options = entries[0].get("options", {})
        if entries[0].get("type") == VIEW:
            return RestoredCollection(records=None, complaints=(), misfits=0, indexes={}, options=options)
        indexes = {str(index["name"]): dict(index) for index in handle[name].list_indexes()}
        data_name = BUCKETS + name if entries[0].get("type") == TIME_SERIES else name
        report = handle.command({"validate": data_name})
    errors = [str(error) for error in report.get("errors", [])]
    misfits = int(report.get("nNonCompliantDocuments", 0))
    complaints = [error for error in errors if not (misfits and _MISFIT in error)]
    if not report.get("valid", False) and not errors:
        complaints = ["it is not valid, and the server does not say why"]
    return RestoredCollection(
        records=int(report["nrecords"]),
        complaints=tuple(complaints),
        misfits=misfits,
        indexes={name: index for name, index in indexes.items() if not _comes_by_itself(index)},
        options=options,
    )


def restored_checks(
    client: Client,
    *,
    report: LoadReport,
    archived: t.Mapping[str, ArchiveCollection],
    noted: t.Mapping[str, int | None],
) -> t.Iterator[Check]:
    """Everything that was loaded: there, valid, as many documents, the same indexes and options.

    *archived* has the archive's entries and *noted* the counts of the manifest (None: not noted), both by
    ``database.collection``. Where an oplog was replayed a collection may differ from what the archive says of it: it
    was still in use while it was dumped. Such differences are told and fail nothing.
    """
    differences = _Differences(replayed=report.oplog is not None and report.oplog.operations > 0)
    # Users and roles are loaded, but not as collections of these names.
    handled = {one.source for one in report.collections} | {
        *report.left_out,
        "admin.system.users",
        "admin.system.roles",
    }
    for name in sorted(set(noted) - handled):
        differences.wrong("documents", f"{name} was not loaded")
    for loaded in report.collections:
        now = look_at(client, loaded)
        if now is None:
            differences.changed("documents", f"{loaded.source} is not there")
            continue
        differences.seen(now)
        expected = noted.get(loaded.source)
        if expected is not None and loaded.type != VIEW and loaded.documents != expected:
            differences.wrong("documents", f"{loaded.source}: {loaded.documents} were loaded, {expected} noted")
        if now.records is not None and now.records != loaded.documents:
            differences.changed("documents", f"{loaded.source} has {now.records} documents, not {loaded.documents}")
        for complaint in now.complaints:
            differences.wrong("validate", f"{loaded.source}: {complaint}")
        _compare_metadata(archived[loaded.source], now, differences=differences, name=loaded.source)
    yield from differences.checks(
        {
            "documents": f"All {len(report.collections)} collections are there, with {differences.documents} documents",
            "validate": f"The server found all {len(report.collections)} collections and their indexes valid"
            + (f" ({differences.misfits} documents are older than their validators)" if differences.misfits else ""),
            "indexes": f"All {differences.indexes} indexes of the archive are there",
            "options": "All collections have the archive's options",
        }
    )


def _compare_metadata(
    archived: ArchiveCollection, now: RestoredCollection, *, differences: _Differences, name: str
) -> None:
    metadata = read_metadata(archived)
    for index in metadata.indexes:
        found = now.indexes.get(str(index["name"]))
        if found is None:
            differences.changed("indexes", f"{name} lacks the index {index['name']}")
        elif not _same_index(index, found):
            differences.changed("indexes", f"the index {index['name']} of {name} is another one")
    for more in sorted(set(now.indexes) - {str(index["name"]) for index in metadata.indexes}):
        # The server gives every time series one of its own.
        if archived.type != TIME_SERIES:
            differences.changed("indexes", f"{name} has the index {more}, which the archive lacks")
    for option, value in metadata.options.items():
        # A later server may add options, so only those of the archive are compared.
        if _plain(now.options.get(option)) != _plain(value):
            differences.changed("options", f"{name} has another {option}")


class _Differences:
    """What was found wrong, by check; what an oplog may have changed apart from the rest."""

    def __init__(self, *, replayed: bool) -> None:
        self.documents = 0
        self.misfits = 0
        self.indexes = 0
        self._replayed = replayed
        self._wrong: dict[str, list[str]] = {}
        self._changed: dict[str, list[str]] = {}

    def seen(self, now: RestoredCollection) -> None:
        self.documents += now.records or 0
        self.misfits += now.misfits
        self.indexes += len(now.indexes)

    def wrong(self, check: str, what: str) -> None:
        self._wrong.setdefault(check, []).append(what)

    def changed(self, check: str, what: str) -> None:
        (self._changed if self._replayed else self._wrong).setdefault(check, []).append(what)

    def checks(self, good: t.Mapping[str, str]) -> t.Iterator[Check]:
        for name, sentence in good.items():
            wrong, changed = self._wrong.get(name, []), self._changed.get(name, [])
            if wrong:
                yield Check(name=f"restored {name}", state=FAILED, message=f"{_listed(wrong)}.", found=wrong)
            if changed:
                message = f"The oplog changed what the archive says: {_listed(changed)}."
                yield Check(name=f"restored {name}", state=SKIPPED, message=message, found=changed)
            if not wrong and not changed:
                yield Check(name=f"restored {name}", state=PASSED, message=f"{sentence}.")


def _same_index(one: t.Mapping[str, t.Any], other: t.Mapping[str, t.Any]) -> bool:
    return _index(one) == _index(other)


def _index(index: t.Mapping[str, t.Any]) -> tuple[list[tuple[str, t.Any]], dict[str, t.Any]]:
    """Its key, whose order matters, and the rest, whose order doesn't."""
    rest = {name: _plain(value) for name, value in index.items() if name not in {"key", *_INDEX_NOISE}}
    return [(str(field), _plain(value)) for field, value in index["key"].items()], rest


def _plain(value: t.Any) -> t.Any:
    """So that it can be compared: a document is what it holds, whatever it is called in Python."""
    if isinstance(value, t.Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _comes_by_itself(index: t.Mapping[str, t.Any]) -> bool:
    return bool(index.get("clustered", False)) or (index["name"] == "_id_" and list(index["key"]) == ["_id"])


def _listed(sentences: t.Sequence[str]) -> str:
    return "; ".join(sentences[:_SHOWN]) + (f"; and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else "")
