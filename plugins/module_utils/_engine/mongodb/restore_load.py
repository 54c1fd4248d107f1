# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a backup's archive for a restore: natively or by mongorestore, with the same account of what was loaded."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import MongoArchiveInvalid, MongoLoadFailed, PipelineFailed
from ..core.host import Host
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from .archive_load import load_archive
from .archive_reader import ArchivePrelude, ArchiveReader
from .collection_metadata import read_metadata
from .load_plans import plans_as_json
from .load_values import LoadOptions, LoadReport
from .namespace_map import NamespaceMap
from .namespaces import VIEW
from .oplog_commands import MakeDirect
from .restore_guide import PAYLOAD
from .restore_names import RestoreNames
from .restore_options import MongoRestoreOptions
from .restore_selection import AS_VIEW, DIRECT, RestoreSelection, namespace_map
from .restore_views import noted_view
from .vendor_restore import LoadCounts, configuration, mongorestore_argv

if t.TYPE_CHECKING:
    from .connection import Client


def read_prelude(source: PayloadSource, *, progress: Progress) -> ArchivePrelude:
    """What the archive says about itself; only its beginning is fetched.

    Raises MongoArchiveInvalid, and what delivering raises.
    """
    found: list[ArchivePrelude] = []
    source.deliver(
        PAYLOAD,
        PayloadOutput(read=lambda stream: found.append(ArchiveReader(stream).prelude()), may_end_early=True),
        progress=progress,
    )
    if not found:
        raise MongoArchiveInvalid("The archive is empty.", hint="Restore another backup: lifeboat list shows them.")
    return found[-1]


@dataclass(frozen=True)
class Load:
    """One load of what is selected, into staging names; *program* is mongorestore's path where it does the work.

    *map* is where it goes, when that is to be known afterwards. Without *finish* indexes and views are left for a
    replay behind it; the facts then have ``plans``, ``late`` and ``anew`` for it.
    """

    client: Client
    source: PayloadSource
    selection: RestoreSelection
    options: MongoRestoreOptions
    names: RestoreNames
    host: Host
    progress: Progress
    program: str = ""
    make_direct: MakeDirect | None = None
    map: NamespaceMap | None = None
    finish: bool = True

    def run(self) -> dict[str, t.Any]:
        """Load everything; facts for the ledger: ``collections`` by ``database.name`` on the target, ``views``,
        ``view_sources``, ``oplog``, ``users`` and ``roles``. Raises what loading and delivering raise; a part may be
        loaded then.
        """
        return self._vendor() if self.program else self._native()

    def _native(self) -> dict[str, t.Any]:
        names = self.map or namespace_map(self.selection, self.options, self.names)
        options = LoadOptions(
            names=names,
            threads=self.options.parallel,
            users_into=self.names.people if self.options.users_and_roles else None,
            users_of=frozenset(self.options.databases) if self.options.databases else None,
            made=frozenset(item.full_name for item in self.selection.of(DIRECT)),
            views=False,
            make_direct=self.make_direct,
            finish=self.finish,
        )
        reports: list[LoadReport] = []

        def load(stream: t.BinaryIO) -> None:
            reports.append(load_archive(stream, client=self.client, options=options, progress=self.progress))

        self.source.deliver(PAYLOAD, PayloadOutput(read=load), progress=self.progress)
        report = reports[-1]
        left = {} if self.finish else {"plans": plans_as_json(*report.plans), **_moved(names)}
        return {
            **left,
            "collections": {
                self._final(one.target): {"source": one.source, "documents": one.documents, "indexes": one.indexes}
                for one in report.collections
                if one.type != VIEW
            },
            "views": [
                noted_view(database, final_name(name, self.names), definition)
                for database, name, definition in report.views
            ],
            "view_sources": [one.source for one in report.collections if one.type == VIEW],
            "oplog": None if report.oplog is None else report.oplog.as_dict(),
            "users": report.users,
            "roles": report.roles,
        }

    def _vendor(self) -> dict[str, t.Any]:
        counts = LoadCounts()
        uri = self.options.connection.fetch_uri(runner=self.host.runner)
        with configuration(uri) as (descriptor, path):
            argv = mongorestore_argv(
                program=self.program,
                configuration=path,
                options=self.options,
                selection=self.selection,
                names=self.names,
            )
            output = PayloadOutput(argv=argv, pass_descriptors=(descriptor,), on_stderr=counts.line)
            try:
                self.source.deliver(PAYLOAD, output, progress=self.progress)
            except PipelineFailed as error:
                raise MongoLoadFailed(
                    error.message,
                    hint="See what mongorestore says; or restore with tool: native.",
                    details=error.details,
                ) from error
        if counts.failed:
            raise MongoLoadFailed(
                f"mongorestore says that {counts.failed} documents failed to restore, and ended with status 0.",
                hint="Restore with tool: native, which says why.",
                details={"failed": counts.failed},
            )
        return {
            "collections": {
                item.full_name: {
                    "source": item.source_name,
                    "documents": item.documents,
                    "indexes": len(read_metadata(item.source).indexes),
                }
                for item in self.selection.items
                if item.way != AS_VIEW
            },
            "views": [
                noted_view(item.database, item.name, read_metadata(item.source).options)
                for item in self.selection.of(AS_VIEW)
            ],
            "view_sources": [item.source_name for item in self.selection.of(AS_VIEW)],
            "oplog": None,
            "users": 0,
            "roles": 0,
        }

    def _final(self, full: str) -> str:
        database, _dot, name = full.partition(".")
        return f"{database}.{final_name(name, self.names)}"


def final_name(name: str, names: RestoreNames) -> str:
    """The name that a collection gets in the end, be it staged or not."""
    return names.final(name) if name.startswith(names.staging) else name


def _moved(names: NamespaceMap) -> dict[str, t.Any]:
    """What the archive's own oplog has changed in where things go."""
    return {"late": sorted(names.late), "anew": sorted(names.anew)}
