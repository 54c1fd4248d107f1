# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load by the vendor's mongorestore: its command line, its secrets by descriptor, its counts."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ..core.errors import ToolMissing
from ..core.journal import Journal
from ..core.runner import Runner, find_program, require_version
from .facts import version_numbers
from .namespace_map import BUCKETS
from .restore_names import RestoreNames
from .restore_options import MongoRestoreOptions
from .restore_selection import AS_VIEW, DIRECT, RestoreSelection
from .vendor_dump import MINIMUM, VendorTool, configuration_file

_VERSION = re.compile(r"mongorestore version: *[rv]?(\d+(?:\.\d+)+)")
_DONE = re.compile(r"(?P<good>\d+) document\(s\) restored successfully\. (?P<failed>\d+) document\(s\) failed")


def find_mongorestore(*, runner: Runner, directory: str | None, server_version: str, journal: Journal) -> VendorTool:
    """The mongorestore to use. Raises ToolMissing (naming the package) and ToolTooOld for this server."""
    try:
        program = find_program("mongorestore", directories=() if directory is None else (directory,))
    except ToolMissing as error:
        error.hint = "Install the vendor's package mongodb-database-tools, or use tool: native, which needs no program."
        raise
    found = _VERSION.search(runner.run([program, "--version"], timeout=20).text)
    if found is None:
        journal.warning("This mongorestore does not tell its version, so whether it fits the server was not checked.")
        return VendorTool(program=program, version="")
    for server, tool, reason in MINIMUM:
        if version_numbers(server_version) >= server:
            require_version("mongorestore", found=version_numbers(found[1]), at_least=tool, reason=reason)
            break
    return VendorTool(program=program, version=found[1])


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
    connection = options.connection
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
    if connection.uses_tls_files:
        argv.append("--ssl")
    if connection.tls_ca_file is not None:
        argv.append(f"--sslCAFile={connection.tls_ca_file}")
    if connection.tls_certificate_key_file is not None:
        argv.append(f"--sslPEMKeyFile={connection.tls_certificate_key_file}")
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
