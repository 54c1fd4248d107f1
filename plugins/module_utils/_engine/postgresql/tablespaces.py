# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tablespaces of a base backup: which there are, and the folders that hold their data while it is brought back."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from ..core.errors import HostileArchive, ManifestInvalid

if t.TYPE_CHECKING:
    from ..catalog.manifest import Manifest

TABLESPACE_MAP = "tablespace_map"
LINKS = "pg_tblspc"
#: The folder in each tablespace that one version's clusters keep their data in: PG_15_202209061.
VERSION_FOLDER = re.compile(r"PG_(?P<major>[0-9]+)_[0-9]+")
_LONGEST_MAP = 1024 * 1024


@dataclass(frozen=True)
class StoredTablespace:
    """A tablespace with a payload of its own; *location* is the folder that it had on its server."""

    oid: int
    name: str
    location: str
    payload: str


@dataclass(frozen=True)
class TablespaceFolder:
    """Where one tablespace's data is put: *folder*, to which the link of the data folder leads."""

    oid: int
    folder: str


def stored_tablespaces(manifest: Manifest) -> tuple[StoredTablespace, ...]:
    """Those that the backup holds, by their oids. Raises ManifestInvalid for what no backup of ours says."""
    found = []
    for entry in manifest.content.get("tablespaces") or ():
        if not isinstance(entry, dict) or entry.get("payload") is None:
            continue
        oid, name, location = entry.get("oid"), entry.get("name"), entry.get("location")
        if not isinstance(oid, int) or not 0 < oid < 1 << 32 or entry["payload"] != f"{oid}.tar":
            raise ManifestInvalid(
                f"The manifest of {manifest.backup_id} names a tablespace that can't be: {entry!r}.",
                hint="Restore another backup: lifeboat list shows them.",
            )
        found.append(StoredTablespace(oid=oid, name=str(name), location=str(location), payload=str(entry["payload"])))
    return tuple(sorted(found, key=_oid_of))


def mapped_oids(data: bytes) -> set[int]:
    """The tablespaces that a ``tablespace_map`` names: a line each, oid and folder; line ends in it have a backslash.

    Raises HostileArchive for what PostgreSQL does not write.
    """
    found = set()
    for line in re.sub(rb"\\.", b"?", data, flags=re.DOTALL).split(b"\n"):
        oid, _space, folder = line.partition(b" ")
        if not line:
            continue
        if not oid.isdigit() or not folder:
            raise HostileArchive(
                f"The base backup's tablespace_map has a line that can't be: {line[:100]!r}.",
                hint="Don't restore it; look at who could write to the repository.",
            )
        found.add(int(oid))
    return found


def read_map(folder: str) -> set[int]:
    """The same of an unpacked data folder; nothing when it has none."""
    try:
        with open(os.path.join(folder, TABLESPACE_MAP), "rb") as file:
            return mapped_oids(file.read(_LONGEST_MAP))
    except FileNotFoundError:
        return set()


def remove_map(folder: str) -> None:
    """Take the map away: the server would put links to the folders of then in place of those that are there."""
    path = os.path.join(folder, TABLESPACE_MAP)
    if os.path.lexists(path):
        os.unlink(path)


def link(data_directory: str, *, oid: int, folder: str) -> None:
    """Let the tablespace's link lead to *folder*, at once, whatever there was; its owner is the data folder's."""
    path = os.path.join(data_directory, LINKS, str(oid))
    temporary = f"{path}.new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(folder, temporary)
    facts = os.stat(data_directory)
    os.lchown(temporary, facts.st_uid, facts.st_gid)
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    os.rename(temporary, path)


def links_of(data_directory: str) -> dict[int, str]:
    """The links of a cluster: oid to what is written in the link; {} for what is no cluster."""
    folder = os.path.join(data_directory, LINKS)
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    return {
        int(name): os.readlink(os.path.join(folder, name))
        for name in names
        if name.isdigit() and os.path.islink(os.path.join(folder, name))
    }


def version_folders(folder: str, *, major: int) -> list[str]:
    """The folders in a tablespace that clusters of that version keep their data in; [] when it is not there."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    matches = (VERSION_FOLDER.fullmatch(name) for name in names)
    return [match[0] for match in matches if match is not None and int(match["major"]) == major]


def _oid_of(one: StoredTablespace) -> int:
    return one.oid
