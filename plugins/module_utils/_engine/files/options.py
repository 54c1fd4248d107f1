# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup of files may be asked to be."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import flag, refuse_unknown
from .patterns import Patterns
from .roots import refuse_paths

CONNECTION_KEYS = ("paths", "optional_paths", "exclude")
_KEYS = ("connection", "system_snapshot")
_OF = "files backup"


@dataclass(frozen=True)
class FilesPlaces:
    """*paths* must be there, *optional_paths* may be missing; both are absolute, may be globs, and hold all below them
    but what a pattern of *exclude* matches.
    """

    paths: tuple[str, ...] = ()
    optional_paths: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def from_description(cls, description: t.Mapping[str, t.Any]) -> FilesPlaces:
        """The key ``connection``. Raises RequestInvalid."""
        refuse_unknown(description, known=CONNECTION_KEYS, of="connection")
        made = cls(
            paths=_texts(description, "paths"),
            optional_paths=_texts(description, "optional_paths"),
            exclude=_texts(description, "exclude"),
        )
        refuse_paths(made.paths, of="connection.paths")
        refuse_paths(made.optional_paths, of="connection.optional_paths")
        Patterns(made.exclude)
        return made


@dataclass(frozen=True)
class FilesOptions:
    """*system_snapshot* also records what the host is: kernel, packages, services, network, disks."""

    places: FilesPlaces
    system_snapshot: bool = False


def options_from_description(description: t.Mapping[str, t.Any], *, more: t.Sequence[str] = ()) -> FilesOptions:
    """The options of a description; *more* are those that only its kind has. Raises RequestInvalid."""
    refuse_unknown(description, known=(*_KEYS, *more), of=_OF)
    connection = description.get("connection")
    if connection is not None and not isinstance(connection, t.Mapping):
        raise RequestInvalid("connection must be a mapping such as {paths: [/etc/nginx]}.")
    return FilesOptions(
        places=FilesPlaces.from_description(connection or {}),
        system_snapshot=flag(description, "system_snapshot", of=_OF),
    )


def _texts(description: t.Mapping[str, t.Any], key: str) -> tuple[str, ...]:
    given = description.get(key) or ()
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) and one for one in given):
        raise RequestInvalid(f"connection.{key} must be a list of texts, such as [/etc/nginx].")
    return tuple(given)
