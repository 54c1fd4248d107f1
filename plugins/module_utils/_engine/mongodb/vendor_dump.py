# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dump by the vendor's mongodump: its command line, its secrets by descriptor, its counts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import typing as t
from dataclasses import dataclass

from ..core.errors import ToolMissing
from ..core.journal import Journal
from ..core.runner import Runner, find_program, require_version
from .connection import MongoConnection
from .consistency import OPLOG
from .facts import version_numbers
from .namespaces import Scope

# The first releases of the Database Tools that dump a server of that version rightly, from their changelog.
MINIMUM: t.Sequence[tuple[tuple[int, ...], tuple[int, ...], str]] = (
    ((9, 0), (100, 18, 0), "MongoDB 9.0 needs it"),
    ((8, 3), (100, 16, 0), "MongoDB 8.3 stores time series in another way"),
    ((8, 1), (100, 12, 0), "MongoDB 8.1 has no document about the authentication schema"),
    ((8, 0), (100, 10, 0), "MongoDB 8.0 writes oplog entries that older ones don't know"),
    ((0,), (100, 0, 0), "older ones came with the server and write other metadata"),
)
_VERSION = re.compile(r"mongodump version: *[rv]?(\d+(?:\.\d+)+)")
_DONE = re.compile(r"done dumping [`\"']?(?P<name>.+?)[`\"']? \((?P<count>\d+) documents?\)\s*$")


@dataclass(frozen=True)
class VendorTool:
    """The program and its version, empty when it doesn't say one."""

    program: str
    version: str


def find_mongodump(*, runner: Runner, directory: str | None, server_version: str, journal: Journal) -> VendorTool:
    """The mongodump to use. Raises ToolMissing (naming the package) and ToolTooOld for this server."""
    try:
        program = find_program("mongodump", directories=() if directory is None else (directory,))
    except ToolMissing as error:
        error.hint = "Install the vendor's package mongodb-database-tools, or use tool: native, which needs no program."
        raise
    printed = runner.run([program, "--version"], timeout=20).text
    found = _VERSION.search(printed)
    if found is None:
        journal.warning("This mongodump does not tell its version, so whether it fits the server was not checked.")
        return VendorTool(program=program, version="")
    for server, tool, reason in MINIMUM:
        if version_numbers(server_version) >= server:
            require_version("mongodump", found=version_numbers(found[1]), at_least=tool, reason=reason)
            break
    return VendorTool(program=program, version=found[1])


def mongodump_argv(
    *,
    program: str,
    configuration: str,
    connection: MongoConnection,
    scope: Scope,
    mode: str,
    parallel: int,
) -> tuple[str, ...]:
    """The command line; *configuration* is the path of the file with the URI. Pure, holds no secret."""
    argv = [
        program,
        f"--config={configuration}",
        "--archive",
        f"--numParallelCollections={parallel}",
        # The URI names one member, which may be a secondary.
        "--readPreference=primaryPreferred",
    ]
    if connection.uses_tls_files:
        argv.append("--ssl")
    if connection.tls_ca_file is not None:
        argv.append(f"--sslCAFile={connection.tls_ca_file}")
    if connection.tls_certificate_key_file is not None:
        argv.append(f"--sslPEMKeyFile={connection.tls_certificate_key_file}")
    if scope.database is not None:
        argv.append(f"--db={scope.database}")
        if scope.users_and_roles and scope.database != "admin":
            argv.append("--dumpDbUsersAndRoles")
    argv += [f"--excludeCollection={name}" for name in scope.exclude]
    if mode == OPLOG:
        argv.append("--oplog")
    return tuple(argv)


@contextlib.contextmanager
def configuration_file(uri: str) -> t.Iterator[tuple[int, str]]:
    """A file in memory alone with the URI for mongodump's --config: its descriptor, and its path in the child."""
    # A JSON string is a YAML string as well.
    content = f"uri: {json.dumps(uri)}\n".encode()
    descriptor = os.memfd_create("lifeboat-mongodump")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor, f"/dev/fd/{descriptor}"
    finally:
        os.close(descriptor)


class DumpCounts:
    """Reads mongodump's messages as they come: how many documents of each collection it wrote."""

    def __init__(self) -> None:
        self.documents: dict[str, int] = {}

    def line(self, text: str) -> None:
        """Take one line of its standard error."""
        found = _DONE.search(text)
        if found is not None:
            self.documents[found["name"]] = int(found["count"])
