# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting restored tablespaces into their places, and taking them out again: by renaming, a link at a time."""

from __future__ import annotations

import os
import typing as t

from ..core.durable import fsync_folder
from ..recovery.steps import Facts
from .programs import ServerPrograms
from .tablespace_places import TablespacePlace
from .tablespaces import LINKS, link, links_of, version_folders

#: Under this name a step's facts keep what was found in each place.
NOTED = "tablespaces"


class TablespaceMoves:
    """The renames of one restore. *staging* is the new cluster's data folder; *present* is that of the one it replaces.

    All of it happens before the data folders themselves change their names. *present* is None beside.
    """

    def __init__(
        self,
        places: t.Sequence[TablespacePlace],
        *,
        staging: str,
        present: str | None,
        major: int,
    ) -> None:
        self._places = places
        self._staging = staging
        self._present = present
        self._major = major

    def plan(self) -> Facts:
        """What is there now, for the way back; by oid."""
        links = links_of(self._present) if self._present is not None else {}
        noted = {}
        for place in self._places:
            theirs = {str(oid): text for oid, text in links.items() if os.path.realpath(text) == place.location}
            noted[str(place.oid)] = {
                "new": version_folders(place.staging, major=self._major),
                "old": version_folders(place.location, major=self._major) if theirs else [],
                "links": theirs,
                "location": place.location,
                "aside": place.aside if theirs else None,
            }
        return {NOTED: noted}

    def do(self, facts: Facts, *, programs: ServerPrograms) -> None:
        """The old ones aside, the new ones in their places; each cluster's links lead to its own data throughout."""
        for place, noted in self._noted(facts):
            if noted["old"] or noted["links"]:
                _make(place.aside, programs=programs)
            for name in noted["old"]:
                if not os.path.lexists(os.path.join(place.aside, name)):
                    os.rename(os.path.join(place.location, name), os.path.join(place.aside, name))
            for oid in noted["links"]:
                self._link_present(int(oid), place.aside)
            for name in noted["new"]:
                if os.path.lexists(os.path.join(place.staging, name)):
                    os.rename(os.path.join(place.staging, name), os.path.join(place.location, name))
            self._link_new(place.oid, place.location)
            fsync_folder(place.location)
            if os.path.isdir(place.staging):
                os.rmdir(place.staging)
        self._fsync()

    def has_moved(self, facts: Facts) -> bool:
        """Whether anything of :meth:`do` is done that is not undone."""
        for place, noted in self._noted(facts):
            if os.path.isdir(place.aside):
                return True
            old = set(noted["old"])
            if any(name not in old and os.path.lexists(os.path.join(place.location, name)) for name in noted["new"]):
                return True
        return False

    def undo(self, facts: Facts, *, programs: ServerPrograms) -> None:
        """Back again, from wherever it stopped; no server may run on either when :meth:`has_moved`."""
        for place, noted in self._noted(facts):
            if not os.path.isdir(place.location):
                continue
            for name in noted["new"]:
                is_old = name in noted["old"] and not os.path.lexists(os.path.join(place.aside, name))
                here, there = os.path.join(place.location, name), os.path.join(place.staging, name)
                if not is_old and os.path.lexists(here) and not os.path.lexists(there):
                    _make(place.staging, programs=programs)
                    os.rename(here, there)
            if os.path.isdir(place.staging):
                self._link_new(place.oid, place.staging)
            for name in noted["old"]:
                if os.path.lexists(os.path.join(place.aside, name)):
                    os.rename(os.path.join(place.aside, name), os.path.join(place.location, name))
            for oid, text in noted["links"].items():
                self._link_present(int(oid), str(text))
            if os.path.isdir(place.aside):
                os.rmdir(place.aside)
            fsync_folder(place.location)
        self._fsync()

    def _noted(self, facts: Facts) -> t.Iterator[tuple[TablespacePlace, t.Mapping[str, t.Any]]]:
        noted = facts.get(NOTED) or {}
        for place in self._places:
            if str(place.oid) in noted:
                yield place, noted[str(place.oid)]

    def _link_new(self, oid: int, folder: str) -> None:
        # One that was dropped in the WAL that was replayed has none any more.
        if oid in links_of(self._staging):
            link(self._staging, oid=oid, folder=folder)

    def _link_present(self, oid: int, folder: str) -> None:
        if self._present is not None and oid in links_of(self._present):
            link(self._present, oid=oid, folder=folder)

    def _fsync(self) -> None:
        for folder in (self._staging, self._present):
            if folder is not None and os.path.isdir(os.path.join(folder, LINKS)):
                fsync_folder(os.path.join(folder, LINKS))


def asides_of(facts: Facts, *, restore_id: str) -> list[str]:
    """The folders in tablespaces that hold what was there before, by a step's facts."""
    noted = facts.get(NOTED) or {}
    named = f"before-{restore_id}"
    return [str(one["aside"]) for one in noted.values() if os.path.basename(str(one.get("aside"))) == named]


def _make(folder: str, *, programs: ServerPrograms) -> None:
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        programs.own(folder)
