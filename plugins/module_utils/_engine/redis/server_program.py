# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server program on this host: which one loads a backup, and what it calls itself."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

from ..core.errors import RestoreTargetInvalid
from ..core.runner import Runner, find_program
from .loadable import ServerVersion
from .noted import Noted

# "Redis server v=7.0.15 sha=...", "Valkey server v=8.1.1 ..."; also under the other one's name (Debian's symlinks).
_VERSION = re.compile(r"(?P<flavour>\w+) server v=(?P<version>\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class ServerProgram:
    """An executable and what it says it is."""

    path: str
    version: ServerVersion


def find_server(noted: Noted, *, named: str | None, runner: Runner) -> ServerProgram:
    """The program *named*, else the one of the backup's flavour. Raises ToolMissing and RestoreTargetInvalid."""
    return server_of(named or ("valkey-server" if noted.flavour == "valkey" else "redis-server"), runner=runner)


def server_of(name: str, *, runner: Runner) -> ServerProgram:
    """What the program *name* is. Raises ToolMissing, CommandFailed and RestoreTargetInvalid."""
    path = find_program(name)
    printed = runner.run([path, "--version"], timeout=20).text
    found = _VERSION.search(printed)
    if found is None:
        raise RestoreTargetInvalid(
            f"{path} is no Redis or Valkey server: it says {printed[:80]!r}.",
            hint="Name the server's program with server_program.",
        )
    numbers = tuple(int(part) for part in found["version"].split("."))
    flavour = found["flavour"].lower()
    return ServerProgram(path=path, version=ServerVersion(flavour=flavour, version=numbers))


def is_open_to_all(folder: str) -> bool:
    """Whether every user of this host can pass through *folder* and all that hold it."""
    path = os.path.realpath(folder)
    while True:
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
        parent = os.path.dirname(path)
        if parent == path:
            return True
        path = parent
