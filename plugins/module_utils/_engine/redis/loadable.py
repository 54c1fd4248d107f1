# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server can load which backup: RDB versions, modules, databases. Pure, and asked before anything is stopped.

Source: the release notes and rdb.h of both projects. A server loads what older servers of its own kind wrote, and
refuses a later version with "Can't handle RDB format version". Redis doesn't know Valkey's own magic (VALKEY080), and
Valkey refuses the versions 12 to 79, which came after it parted from Redis.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RestoreTargetInvalid, RestoreVersionMismatch
from .noted import Noted

_HIGHEST: t.Mapping[str, tuple[tuple[tuple[int, ...], int], ...]] = {
    "redis": (
        ((7, 4), 12),
        ((7, 2), 11),
        ((7, 0), 10),
        ((5, 0), 9),
        ((4, 0), 8),
        ((3, 2), 7),
        ((2, 8), 6),
        ((2, 6), 5),
    ),
    "valkey": (((9, 0), 80), ((7, 2), 11)),
}
_HIGHEST_OF_REDIS_IN_VALKEY = 11
# Redis 8 names what is a part of it among its modules.
_BUILT_IN = ("vectorset",)
_BUILT_IN_SINCE = (8, 0)
#: Since then a base, increments and a manifest lie in a folder of their own.
MULTI_PART = (7, 0)
#: Since then an append-only file may begin with an RDB.
PREAMBLE = (4, 0)


@dataclass(frozen=True)
class ServerVersion:
    """A server program: *flavour* is "redis" or "valkey", *version* is that flavour's own."""

    flavour: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.flavour.capitalize()} {'.'.join(str(part) for part in self.version) or '(unknown version)'}"

    @property
    def is_multi_part(self) -> bool:
        """Whether it keeps its append-only files as a set with a manifest."""
        return self.flavour == "valkey" or self.version >= MULTI_PART


def refuse_unloadable(noted: Noted, server: ServerVersion, *, kind: str) -> None:
    """Raise RestoreVersionMismatch when *server* can't load the backup."""
    writer = ServerVersion(flavour=noted.flavour, version=noted.version)
    problem = _rdb_problem(noted, server)
    if problem is None and kind == "aof":
        problem = _aof_problem(noted, server, writer=writer)
    if problem is not None:
        raise RestoreVersionMismatch(
            f"{server} can't load this backup of {writer}: {problem}.",
            hint=f"Restore into {writer} or later of the same kind (server_program names another program).",
            details={"server": str(server), "backup": str(writer), "rdb_version": noted.rdb_version},
        )


def refuse_missing_modules(noted: Noted, *, loaded: t.Sequence[str], who: str) -> None:
    """Raise RestoreTargetInvalid when a module that the source had is not *loaded* ("ReJSON 20609") in the target."""
    names = {_module_name(module) for module in loaded}
    missing = [module for module in noted.modules if _module_name(module) not in names]
    if missing:
        raise RestoreTargetInvalid(
            f"The backup was taken from a server with the modules {', '.join(missing)}, which {who} does not have: "
            "it would refuse to load their data.",
            hint="Load them there first (loadmodule /path/to/module.so in its configuration, then restart).",
            details={"missing": missing, "loaded": list(loaded)},
        )


def extra_modules(noted: Noted, server: ServerVersion) -> list[str]:
    """The modules of the source that this server program does not have built in."""
    built_in = _BUILT_IN if server.flavour == "redis" and server.version >= _BUILT_IN_SINCE else ()
    return [module for module in noted.modules if _module_name(module) not in built_in]


def older_modules(noted: Noted, *, loaded: t.Sequence[str]) -> list[str]:
    """The modules that are older in the target than they were in the source."""
    versions = {_module_name(module): _module_version(module) for module in loaded}
    return [module for module in noted.modules if versions.get(_module_name(module), 1 << 62) < _module_version(module)]


def _rdb_problem(noted: Noted, server: ServerVersion) -> str | None:
    if noted.rdb_version is None:
        return None  # append-only files without an RDB at their begin
    if server.flavour == noted.flavour and server.version >= noted.version[:2]:
        return None
    wanted = f"it is RDB version {noted.rdb_version}"
    if noted.rdb_magic == "VALKEY" and server.flavour != "valkey":
        return f"{wanted} in Valkey's own format, which needs valkey-server"
    highest = _highest(server)
    if server.flavour == "valkey" and noted.rdb_magic == "REDIS":
        highest = min(highest, _HIGHEST_OF_REDIS_IN_VALKEY)
    if noted.rdb_version > highest:
        return f"{wanted}, and that server reads up to {highest}"
    return None


def _aof_problem(noted: Noted, server: ServerVersion, *, writer: ServerVersion) -> str | None:
    if noted.manifest_path is not None and not server.is_multi_part:
        return "its append-only files are a set with a manifest, which Redis 7.0 introduced"
    if noted.rdb_version is not None and server.flavour == "redis" and server.version < PREAMBLE:
        return "its append-only file begins with an RDB, which Redis 4.0 introduced"
    if server.flavour == writer.flavour and server.version < writer.version[:2]:
        return "it may hold commands that came later"
    return None


def _highest(server: ServerVersion) -> int:
    for version, highest in _HIGHEST.get(server.flavour, ()):
        if server.version >= version:
            return highest
    return 0


def _module_name(module: str) -> str:
    return module.split(" ", 1)[0]


def _module_version(module: str) -> int:
    digits = module.rpartition(" ")[2]
    return int(digits) if digits.isdigit() else 0
