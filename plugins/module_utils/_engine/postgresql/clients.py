# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the client programs that fit a server: pg_dump and pg_basebackup refuse servers newer than themselves."""

from __future__ import annotations

import os
import re
import shutil
import typing as t
from dataclasses import dataclass

from ..core.errors import ToolMissing, ToolTooOld
from ..core.runner import Runner, program_version

# Where distributions put programs of one major version; PATH holds Debian's wrapper, which may choose an older one.
_DIRECTORIES = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")
_DEBIAN = "/usr/lib/postgresql"


@dataclass(frozen=True)
class ClientProgram:
    """A client program: its absolute path and its version, (15, 18)."""

    name: str
    path: str
    version: tuple[int, ...]

    @property
    def dotted(self) -> str:
        """The version as people write it."""
        return ".".join(str(part) for part in self.version)


def find_client(
    name: str, *, server_major: int, runner: Runner, bin_directory: str = "", debian: str = _DEBIAN
) -> ClientProgram:
    """The client program *name* of at least the server's major version.

    Looked for in *bin_directory* (when given, what is there is meant), then where the distribution keeps the server's
    major version, on PATH, and among newer versions. Raises ToolMissing and ToolTooOld, both naming the package.
    """
    package = f"postgresql-client-{server_major}"
    install = f"Install it, on Debian: apt-get install {package}"
    seen: list[ClientProgram] = []
    for path in _candidates(name, server_major=server_major, bin_directory=bin_directory, debian=debian):
        version = program_version(path, runner=runner)
        program = ClientProgram(name=name, path=path, version=version)
        if version and version[0] >= server_major:
            return program
        seen.append(program)
        if bin_directory and os.path.dirname(path) == os.path.normpath(bin_directory):
            break
    if seen:
        raise ToolTooOld(
            f"{seen[0].path} is version {seen[0].dotted or 'unknown'}, and the server is version {server_major}: "
            f"{name} refuses servers that are newer than itself.",
            hint=f"{install}   or set bin_directory to the folder of newer programs.",
            details={"tool": name, "found": list(seen[0].version), "needed": [server_major], "package": package},
        )
    raise ToolMissing(
        f"The program {name} for PostgreSQL {server_major} is not on this host.",
        hint=f"{install}   or set bin_directory to the folder where it is.",
        details={"tool": name, "package": package},
    )


def _candidates(name: str, *, server_major: int, bin_directory: str, debian: str) -> t.Iterator[str]:
    directories = [os.path.normpath(bin_directory)] if bin_directory else []
    directories.append(os.path.join(debian, str(server_major), "bin"))
    directories += [pattern.format(major=server_major) for pattern in _DIRECTORIES[1:]]
    directories += os.environ.get("PATH", os.defpath).split(os.pathsep)
    directories += [os.path.join(debian, str(major), "bin") for major in _newer_majors(debian, than=server_major)]
    tried: set[str] = set()
    for directory in directories:
        found = shutil.which(name, path=directory) if directory else None
        if found and found not in tried:
            tried.add(found)
            yield found


def _newer_majors(debian: str, *, than: int) -> list[int]:
    try:
        names = os.listdir(debian)
    except OSError:
        return []
    return sorted(int(name) for name in names if re.fullmatch(r"\d+", name) and int(name) > than)
