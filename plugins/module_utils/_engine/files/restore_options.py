# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore of files may be asked to do."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import flag, optional_text, refuse_unknown
from .options import FilesPlaces
from .selection import Selection

RESTORE_KEYS = ("connection", "in_place", "data_directory", "paths", "exact", "show_private", "take", "redeploy")
#: What of an application is restored.
ALL, TREE, REPOSITORIES = "all", "tree", "repositories"
TAKES = (ALL, TREE, REPOSITORIES)
_OF = "files restore"


@dataclass(frozen=True)
class FilesRestoreOptions:
    """*in_place* replaces what lies at the backup's own paths; without it all goes below *data_directory*, an empty or
    new folder. *paths* takes only these (absolute, perhaps with ``*``) and what is below them. *exact*, in place, moves
    aside what the backup does not have. *show_private* shows the lines of files that not everybody may read, too.
    *take* is what of an application is restored; *redeploy* a command that is run after a restore in place.
    """

    in_place: bool = False
    data_directory: str = ""
    paths: tuple[str, ...] = ()
    exact: bool = False
    show_private: bool = False
    take: str = ALL
    redeploy: tuple[str, ...] = ()

    @property
    def selection(self) -> Selection:
        """What is restored."""
        return Selection(self.paths)


def restore_options_from(description: t.Mapping[str, t.Any]) -> FilesRestoreOptions:
    """The options of a description. Raises RequestInvalid for what is unknown, contradicts itself or is missing."""
    refuse_unknown(description, known=RESTORE_KEYS, of=_OF)
    connection = description.get("connection")
    if connection is not None:
        if not isinstance(connection, t.Mapping):
            raise RequestInvalid("connection must be a mapping such as {paths: [/etc/nginx]}.")
        FilesPlaces.from_description(connection)  # where to is in the backup; a mistake is told all the same
    made = FilesRestoreOptions(
        in_place=flag(description, "in_place", of=_OF),
        data_directory=_folder(description),
        paths=_paths(description),
        exact=flag(description, "exact", of=_OF),
        show_private=flag(description, "show_private", of=_OF),
        take=optional_text(description, "take", of=_OF) or ALL,
        redeploy=_words(description),
    )
    if made.take not in TAKES:
        raise RequestInvalid(f"{_OF}.take must be one of {', '.join(TAKES)}, not {made.take!r}.")
    if made.take == REPOSITORIES and (made.in_place or made.paths):
        raise RequestInvalid(
            "take: repositories brings whole repositories beside what is there: without in_place and without paths.",
            hint="Name an empty folder: data_directory: /root/restored.",
        )
    if made.redeploy and not made.in_place:
        raise RequestInvalid("redeploy is for restores in place; nothing uses the files in an empty folder.")
    if made.in_place == bool(made.data_directory):
        raise RequestInvalid(
            "It is not said where to restore to." if not made.in_place else "in_place contradicts data_directory.",
            hint="Name an empty folder (data_directory: /root/restored), or replace what is there: in_place: true.",
        )
    if made.exact and not made.in_place:
        raise RequestInvalid("exact is for restores in place; an empty folder has nothing to move aside.")
    return made


def _folder(description: t.Mapping[str, t.Any]) -> str:
    path = optional_text(description, "data_directory", of=_OF) or ""
    if path and (not os.path.isabs(path) or os.path.normpath(path) == "/"):
        raise RequestInvalid(f"{_OF}.data_directory must be the absolute path of a folder of its own, not {path!r}.")
    return os.path.normpath(path) if path else ""


def _paths(description: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    given = description.get("paths") or ()
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) and one.startswith("/") for one in given):
        raise RequestInvalid(f"{_OF}.paths must be a list of absolute paths, such as [/etc/nginx/nginx.conf].")
    Selection(given)
    return tuple(given)


def _words(description: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    given = description.get("redeploy") or ()
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) and one for one in given):
        raise RequestInvalid(
            f"{_OF}.redeploy must be a command word by word, such as [systemctl, restart, app]; there is no shell."
        )
    return tuple(given)
