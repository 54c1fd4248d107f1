# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders that a restore puts tablespaces into: which, what is there, and why one can't be used.

A tablespace often is a disk of its own, whose root can't be renamed. So everything moves inside of it: the data is made
in ``restoring-ID``, what was there before goes to ``before-ID``, and only the folders of PostgreSQL's own version
(``PG_15_202209061``) are renamed from one to the other.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.errors import PostgresTablespaceUnmapped, RequestInvalid, RestoreNoSpace, RestoreTargetInvalid
from ..core.runner import Runner
from ..recovery.scratch import free_bytes
from .base_restore_options import BaseRestoreOptions
from .programs import ServerPrograms, run_as
from .tablespaces import StoredTablespace, TablespaceFolder, links_of, stored_tablespaces, version_folders

if t.TYPE_CHECKING:
    from ..catalog.manifest import Manifest

# What every file system of Linux puts into its root.
_NOBODYS = frozenset(("lost+found",))
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@dataclass(frozen=True)
class TablespacePlace:
    """One tablespace and the folder (free of links) that it is restored into.

    *home* is the folder for all tablespaces in which it lies, which may be missing as well; empty when there is none.
    """

    stored: StoredTablespace
    location: str
    restore_id: str
    home: str = ""

    @property
    def oid(self) -> int:
        """The tablespace."""
        return self.stored.oid

    @property
    def staging(self) -> str:
        """Where its data is made, on the same file system."""
        return os.path.join(self.location, f"restoring-{self.restore_id}")

    @property
    def aside(self) -> str:
        """Where the data goes that was there before."""
        return os.path.join(self.location, f"before-{self.restore_id}")

    @property
    def staged(self) -> TablespaceFolder:
        """For unpacking."""
        return TablespaceFolder(oid=self.oid, folder=self.staging)


def places_of(manifest: Manifest, options: BaseRestoreOptions, *, restore_id: str) -> tuple[TablespacePlace, ...]:
    """A place for each tablespace of the backup; () for a backup without.

    Raises PostgresTablespaceUnmapped for one that has none, RequestInvalid for a name that is none of the backup's.
    """
    stored = stored_tablespaces(manifest)
    if not stored:
        return ()
    names = [key for one in stored for key in (one.name, str(one.oid), one.location)]
    unknown = sorted(set(options.tablespace_map) - set(names))
    if unknown:
        raise RequestInvalid(
            f"tablespace_map names {', '.join(unknown)}, and the backup has the tablespaces {_named(stored)}.",
            hint="Name each by its name, its number or the folder that it had.",
        )
    found, homeless = [], []
    for one in stored:
        chosen = _chosen(one, options)
        if chosen is None:
            homeless.append(one)
        else:
            location = os.path.realpath(chosen)
            home = os.path.realpath(options.tablespace_directory) if options.tablespace_directory else ""
            found.append(
                TablespacePlace(
                    stored=one,
                    location=location,
                    restore_id=restore_id,
                    home=home if os.path.dirname(location) == home else "",
                )
            )
    if homeless:
        example = ", ".join(f"{one.name}: /NEW/FOLDER" for one in homeless)
        raise PostgresTablespaceUnmapped(
            f"The backup has the tablespaces {_named(stored)}, and a copy beside its source must not be put into those "
            "folders: they are the source's.",
            hint="Set tablespace_directory to one new folder for all (lifeboat restore ... -o "
            f"tablespace_directory=/NEW/FOLDER), or one for each: tablespace_map: {{{example}}}.",
            details={"tablespaces": [{"name": one.name, "oid": one.oid, "was": one.location} for one in homeless]},
        )
    return tuple(found)


def check_places(
    places: t.Sequence[TablespacePlace],
    *,
    data_directory: str,
    in_place: bool,
    programs: ServerPrograms,
    runner: Runner,
) -> None:
    """Refuse folders that can't take a tablespace. Raises RestoreTargetInvalid; nothing is changed."""
    taken = [data_directory]
    present = {os.path.realpath(folder) for folder in links_of(data_directory).values()} if in_place else set()
    for place in places:
        where = f"{place.location}, the place of the tablespace {place.stored.name},"
        for other in taken:
            if _is_inside(place.location, other) or _is_inside(other, place.location):
                raise RestoreTargetInvalid(
                    f"{where} and {other} lie one in the other.",
                    hint="Give each tablespace a folder of its own, outside of the data folder.",
                )
        taken.append(place.location)
        _check_folder(place, where, programs=programs, runner=runner)
        try:
            entries = sorted(set(os.listdir(place.location)) - _NOBODYS)
        except FileNotFoundError:
            continue
        if entries and place.location not in present:
            raise RestoreTargetInvalid(
                f"{where} is not empty: it holds {', '.join(entries[:5])}"
                + ("." if not in_place else ", and is no tablespace of the cluster that is replaced."),
                hint=f"Run: ls -la {place.location}   and name an empty folder in tablespace_map.",
                details={"path": place.location, "found": entries[:100]},
            )


def check_room(needs: t.Mapping[str, int]) -> None:
    """Raise RestoreNoSpace when a file system is too small for all that goes to it; *needs* is bytes by folder."""
    by_device: dict[int, dict[str, int]] = {}
    for folder, needed in needs.items():
        existing = folder
        while not os.path.exists(existing):
            existing = os.path.dirname(existing)
        by_device.setdefault(os.stat(existing).st_dev, {})[folder] = needed
    for folders in by_device.values():
        free = min(free_bytes(folder) for folder in folders)
        if sum(folders.values()) > free:
            raise RestoreNoSpace(
                f"{', '.join(folders)}: about {sum(folders.values())} bytes are needed there, and {free} are free.",
                hint="Free space there, or restore to another place.",
                details={"needed": sum(folders.values()), "free": free, "folders": dict(folders)},
            )


def places_facts(places: t.Sequence[TablespacePlace], *, needs: t.Mapping[str, int]) -> dict[str, t.Any]:
    """For the plan, in JSON values; {} without tablespaces. *needs* is bytes by folder."""
    if not places:
        return {}
    return {
        "tablespaces": [
            {
                "name": one.stored.name,
                "oid": one.oid,
                "was": one.stored.location,
                "place": one.location,
                "needed_bytes": needs[one.location],
                "free_bytes": free_bytes(one.location),
            }
            for one in places
        ]
    }


def places_text(places: t.Sequence[TablespacePlace], *, needs: t.Mapping[str, int]) -> tuple[str, ...]:
    """The same for people."""
    return tuple(
        f"tablespace {one.stored.name} ({one.oid}), which was in {one.stored.location}, into {one.location}: about "
        f"{needs[one.location]} bytes, {free_bytes(one.location)} free"
        for one in places
    )


def tablespace_warnings(
    places: t.Sequence[TablespacePlace], options: BaseRestoreOptions, *, present: t.Mapping[int, str]
) -> list[str]:
    """What the plan says besides; *present* are the tablespaces of the cluster that is replaced, oid to folder."""
    warnings = []
    taken = {place.location for place in places}
    staying = [folder for folder in present.values() if os.path.realpath(folder) not in taken]
    if staying:
        warnings.append(
            f"The present cluster has tablespaces in {', '.join(sorted(staying))}; they stay with the cluster that is "
            "moved aside."
        )
    if not places and (options.tablespace_map or options.tablespace_directory):
        warnings.append("The backup has no tablespaces of its own: what is said of their places means nothing.")
    return warnings


def moves_of(places: t.Sequence[TablespacePlace], *, major: int) -> tuple[str, ...]:
    """What is moved aside, in words of a plan."""
    return tuple(
        f"{os.path.join(place.location, name)} -> {os.path.join(place.aside, name)}"
        for place in places
        for name in version_folders(place.location, major=major)
    )


def _chosen(one: StoredTablespace, options: BaseRestoreOptions) -> str | None:
    for key in (one.name, str(one.oid), one.location):
        if key in options.tablespace_map:
            return options.tablespace_map[key]
    if options.tablespace_directory:
        name = one.name if one.name and set(one.name) <= _SAFE else str(one.oid)
        return os.path.join(options.tablespace_directory, name)
    return one.location if options.in_place else None


def _check_folder(place: TablespacePlace, where: str, *, programs: ServerPrograms, runner: Runner) -> None:
    missing = missing_folders(place)
    exists = not missing
    parent = os.path.dirname(missing[0]) if missing else place.location
    if not os.path.isdir(parent):
        raise RestoreTargetInvalid(
            f"{where} can't be made: {parent} is no folder." if not exists else f"{where} is no folder.",
            hint=f"Run: install -d -o postgres -g postgres {parent}",
        )
    test = "-w" if exists else "-x"
    entered = runner.run([*run_as(programs.account), "test", test, parent, "-a", "-x", parent], timeout=20, check=False)
    if entered.status != 0:
        does = "write into" if exists else "enter"
        raise RestoreTargetInvalid(
            f"{where} is no use: the user {programs.account or 'that runs this'} can't {does} {parent}.",
            hint=f"Run: namei -l {parent}   then chown and chmod as it needs.",
        )


def missing_folders(place: TablespacePlace) -> list[str]:
    """What must be made for it, the outer one first."""
    return [folder for folder in (place.home, place.location) if folder and not os.path.lexists(folder)]


def make_folders(places: t.Sequence[TablespacePlace], *, programs: ServerPrograms) -> None:
    """Make what is missing, for the server's account alone."""
    for place in places:
        for folder in missing_folders(place):
            os.mkdir(folder, 0o700)
            programs.own(folder)


def remove_folders(folders: t.Sequence[str]) -> None:
    """Remove those that were made, the inner ones first, as far as they are there and nobody put anything in."""
    for folder in reversed(folders):
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def _is_inside(path: str, other: str) -> bool:
    return path == other or path.startswith(other.rstrip("/") + "/")


def _named(stored: t.Sequence[StoredTablespace]) -> str:
    return ", ".join(f"{one.name} ({one.oid}, {one.location})" for one in stored)
