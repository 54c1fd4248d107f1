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

from ..core.journal import Journal
from ..core.runner import Runner
from .connection import MongoConnection
from .consistency import OPLOG
from .namespaces import Scope
from .vendor_tool import VendorTool, find_vendor_tool, tls_arguments

_DONE = re.compile(r"done dumping [`\"']?(?P<name>.+?)[`\"']? \((?P<count>\d+) documents?\)\s*$")


def find_mongodump(*, runner: Runner, directory: str | None, server_version: str, journal: Journal) -> VendorTool:
    """The mongodump to use. Raises ToolMissing (naming the package) and ToolTooOld for this server."""
    return find_vendor_tool(
        "mongodump", runner=runner, directory=directory, server_version=server_version, journal=journal
    )


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
    argv += tls_arguments(connection)
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
