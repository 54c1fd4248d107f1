# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load by the vendor's mongorestore: its command line, its secrets by descriptor, its counts."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ..core.journal import Journal
from ..core.runner import Runner
from .namespace_map import BUCKETS
from .restore_names import RestoreNames
from .restore_options import MongoRestoreOptions
from .restore_selection import AS_VIEW, DIRECT, RestoreSelection
from .vendor_dump import configuration_file
from .vendor_tool import VendorTool, find_vendor_tool, tls_arguments

_DONE = re.compile(r"(?P<good>\d+) document\(s\) restored successfully\. (?P<failed>\d+) document\(s\) failed")


def find_mongorestore(*, runner: Runner, directory: str | None, server_version: str, journal: Journal) -> VendorTool:
    """The mongorestore to use. Raises ToolMissing (naming the package) and ToolTooOld for this server."""
    return find_vendor_tool(
        "mongorestore", runner=runner, directory=directory, server_version=server_version, journal=journal
    )


def mongorestore_argv(
    *,
    program: str,
    configuration: str,
    options: MongoRestoreOptions,
    selection: RestoreSelection,
    names: RestoreNames,
) -> tuple[str, ...]:
    """The command line; *configuration* is the path of the file with the URI. Pure, holds no secret.

    Of the pairs of --nsFrom and --nsTo that match a name the last one counts: first those of whole databases, then
    those that are exceptions.
    """
    argv = [
        program,
        f"--config={configuration}",
        "--archive",
        # Else stored documents that a validator would refuse today are left out, with status 0.
        "--bypassDocumentValidation",
        "--stopOnError",
        f"--numParallelCollections={options.parallel}",
        f"--numInsertionWorkersPerCollection={options.parallel}",
    ]
    argv += tls_arguments(options.connection)
    databases = {item.source.database: item.database for item in selection.items}
    single = {full.partition(".")[0] for full in options.collections} - set(options.databases)
    argv += [f"--nsInclude={_literal(name)}.*" for name in databases if name not in single]
    argv += [f"--nsInclude={_literal(name)}" for name in options.collections]
    argv += [
        f"--nsInclude={_literal(f'{item.source.database}.{BUCKETS}{item.name}')}"
        for item in selection.of(DIRECT)
        if item.source_name in options.collections
    ]
    # Our own steps make the views; users come into force only by them.
    argv += [f"--nsExclude={_literal(item.source_name)}" for item in selection.of(AS_VIEW)]
    argv += ["--nsExclude=admin.system.*", "--nsExclude=*.$admin.*"] if "admin" in databases else []
    for source, target in databases.items():
        argv += _pair(f"{_literal(source)}.*", f"{_literal(target)}.{names.staging}*")
    for item in selection.of(DIRECT):
        for prefix in ("", BUCKETS):
            argv += _pair(
                _literal(f"{item.source.database}.{prefix}{item.name}"),
                _literal(f"{item.database}.{prefix}{item.name}"),
            )
    for item in selection.items:
        if item.name.startswith("system.") and item.way not in (AS_VIEW, DIRECT):
            staged = names.aside(item.name, prefix=names.staging)
            argv += _pair(_literal(item.source_name), _literal(f"{item.database}.{staged}"))
    return tuple(argv)


@contextlib.contextmanager
def configuration(uri: str) -> t.Iterator[tuple[int, str]]:
    """The file with the URI for mongorestore's --config: its descriptor, and its path in the child."""
    with configuration_file(uri) as found:
        yield found


class LoadCounts:
    """Reads mongorestore's messages as they come: how many documents it could not restore."""

    def __init__(self) -> None:
        self.restored: int | None = None
        self.failed = 0

    def line(self, text: str) -> None:
        """Take one line of its standard error."""
        found = _DONE.search(text)
        if found is not None:
            self.restored, self.failed = int(found["good"]), int(found["failed"])


def _pair(source: str, target: str) -> list[str]:
    return [f"--nsFrom={source}", f"--nsTo={target}"]


def _literal(name: str) -> str:
    """A pattern of mongorestore for this name alone."""
    return re.sub(r"([\\*])", r"\\\1", name)
