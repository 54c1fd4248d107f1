# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the paths of a description to what is walked: globs resolved, what is missing told, the rest refused."""

from __future__ import annotations

import glob
import os
import typing as t
from dataclasses import dataclass

from ..core.errors import FilesMissing, RequestInvalid
from .names import is_below, order, shown, text
from .patterns import is_glob

# The kernel's own: they are no data, some of them never end.
_KERNEL = ("/proc", "/sys", "/dev")


@dataclass(frozen=True)
class Roots:
    """*paths* are what is walked, sorted, none in another, without the slash at the beginning, their folders free of
    links. *missing* are the optional ones that are not there, as they were written.
    """

    paths: tuple[str, ...]
    missing: tuple[str, ...]


def refuse_paths(paths: t.Sequence[str], *, of: str) -> None:
    """Raise RequestInvalid for paths that are not absolute, and for the whole host or what the kernel makes up."""
    for path in paths:
        if not path.startswith("/"):
            raise RequestInvalid(f"{of}: {path!r} is not an absolute path.", hint="Begin it with a slash.")
        plain = os.path.normpath(path)
        if plain in ("/", "//") or any(is_below(plain, folder) for folder in _KERNEL):
            raise RequestInvalid(
                f"{of}: {path!r} holds what the kernel makes up (/proc, /sys, /dev), or is the whole host.",
                hint="Name the folders that hold data, such as /etc and /srv.",
            )


def resolve_roots(paths: t.Sequence[str], optional: t.Sequence[str]) -> Roots:
    """Look for each path. Raises FilesMissing with the names of all that have to be there and are not."""
    found: set[str] = set()
    missing = [path for path in paths if not _add(path, found)]
    if missing:
        raise FilesMissing(
            f"Not on this host: {', '.join(missing)}.",
            hint="Correct connection.paths; what may be missing belongs in connection.optional_paths.",
            details={"missing": missing},
        )
    absent = [path for path in optional if not _add(path, found)]
    kept: list[str] = []
    for path in sorted(found, key=order):
        if not kept or not is_below(path, kept[-1]):
            kept.append(path)
    if not kept:
        raise FilesMissing(
            f"None of the paths is on this host: {', '.join(shown(path) for path in absent)}.",
            hint="Name at least one that is: connection.paths.",
            details={"missing": absent},
        )
    return Roots(paths=tuple(kept), missing=tuple(absent))


def _add(path: str, found: set[str]) -> bool:
    """The path itself or, where nothing has that very name, what it matches."""
    plain = os.path.normpath(path)
    if os.path.lexists(plain):
        matches = [plain]
    elif is_glob(plain):
        matches = [os.path.normpath(match) for match in glob.glob(plain, recursive=True)]
    else:
        matches = []
    for match in matches:
        folder, name = os.path.split(match)
        place = os.path.join(os.path.realpath(folder), name)
        plain_place = text(os.fsencode(place)).lstrip("/")
        if shown(plain_place) != plain_place:
            raise RequestInvalid(
                f"{shown(match)!r} has a name that is no UTF-8, which no description can hold.",
                hint="Name the folder that it lies in: what is below may have any name.",
            )
        found.add(plain_place)
    return bool(matches)
