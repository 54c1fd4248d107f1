# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor's programs: where they are, whether they fit the server, and the arguments that all of them take."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..core.errors import ToolMissing
from ..core.journal import Journal
from ..core.runner import Runner, find_program, require_version
from .connection import MongoConnection
from .facts import version_numbers

# The first releases of the Database Tools that dump a server of that version rightly, from their changelog.
MINIMUM: t.Sequence[tuple[tuple[int, ...], tuple[int, ...], str]] = (
    ((9, 0), (100, 18, 0), "MongoDB 9.0 needs it"),
    ((8, 3), (100, 16, 0), "MongoDB 8.3 stores time series in another way"),
    ((8, 1), (100, 12, 0), "MongoDB 8.1 has no document about the authentication schema"),
    ((8, 0), (100, 10, 0), "MongoDB 8.0 writes oplog entries that older ones don't know"),
    ((0,), (100, 0, 0), "older ones came with the server and write other metadata"),
)


@dataclass(frozen=True)
class VendorTool:
    """The program and its version, empty when it doesn't say one."""

    program: str
    version: str


def find_vendor_tool(
    name: str, *, runner: Runner, directory: str | None, server_version: str, journal: Journal
) -> VendorTool:
    """The program *name* of the Database Tools. Raises ToolMissing (naming the package) and ToolTooOld."""
    try:
        program = find_program(name, directories=() if directory is None else (directory,))
    except ToolMissing as error:
        error.hint = "Install the vendor's package mongodb-database-tools, or use tool: native, which needs no program."
        raise
    printed = runner.run([program, "--version"], timeout=20).text
    found = re.search(rf"{name} version: *[rv]?(\d+(?:\.\d+)+)", printed)
    if found is None:
        journal.warning(f"This {name} does not tell its version, so whether it fits the server was not checked.")
        return VendorTool(program=program, version="")
    for server, tool, reason in MINIMUM:
        if version_numbers(server_version) >= server:
            require_version(name, found=version_numbers(found[1]), at_least=tool, reason=reason)
            break
    return VendorTool(program=program, version=found[1])


def tls_arguments(connection: MongoConnection) -> list[str]:
    """What names the TLS files of a connection."""
    arguments = ["--ssl"] if connection.uses_tls_files else []
    if connection.tls_ca_file is not None:
        arguments.append(f"--sslCAFile={connection.tls_ca_file}")
    if connection.tls_certificate_key_file is not None:
        arguments.append(f"--sslPEMKeyFile={connection.tls_certificate_key_file}")
    return arguments
