# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the repositories in the trees of an application, as they are walked."""

from __future__ import annotations

import os
import typing as t

from ..core.errors import FilesMissing
from .folders import Folders
from .git_repository import DOT_GIT, is_bare_repository
from .git_tool import unusable
from .names import is_below
from .patterns import Patterns

_MOST = 64
_LONGEST_VERSION = 200


class RepositoryPatterns(Patterns):
    """What is left out of the trees: what *patterns* match, and every ``.git``, which is noted."""

    def __init__(self, patterns: t.Sequence[str]) -> None:
        """Raises RequestInvalid for what is no pattern."""
        super().__init__(patterns)
        self.found: set[str] = set()

    def match(self, path: str) -> bool:
        """See Patterns."""
        if super().match(path):
            return True
        folder, _slash, name = path.rpartition("/")
        if name != DOT_GIT:
            return False
        self.found.add(f"/{folder}")
        return True

    def repositories(self, roots: t.Sequence[str], *, with_trees: bool) -> list[str]:
        """The absolute paths of those that a walk has met, and of roots that are bare ones.

        Raises GitRepositoryUnusable for a bare one whose own files are asked for as a tree, and for too many.
        """
        bare = [f"/{root}" for root in roots if is_bare_repository(f"/{root}")]
        if bare and with_trees:
            raise unusable(
                bare[0],
                "it is a bare repository, so it has no files of its own to deploy",
                hint="Store its bundle alone: tree: false. Or name the working tree.",
            )
        found = sorted({*self.found, *bare})
        if len(found) > _MOST:
            raise unusable(
                found[_MOST],
                f"it is one of {len(found)}, and {_MOST} are the most that one backup takes",
                hint="Leave those that are no part of the application out: connection.exclude.",
            )
        return found


def version_in(path: str, roots: t.Sequence[str]) -> str:
    """The first line of a file below one of *roots*. Raises FilesMissing when there is no such file."""
    real = os.path.realpath(path).lstrip("/")
    if not any(is_below(real, root) for root in roots):
        raise _no_version(path, "it does not lie below connection.paths")
    folders = Folders("/")
    try:
        folder, name = folders.of(real)
        # Not through a link that somebody puts there now: the version is for everybody to read.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with open(descriptor, "rb") as file:
            line = file.readline(4 * _LONGEST_VERSION)
    except OSError as error:
        raise _no_version(path, str(error.strerror)) from error
    finally:
        folders.close()
    text = line.decode("utf-8", "replace").strip()
    return "".join(letter for letter in text if letter.isprintable())[:_LONGEST_VERSION]


def _no_version(path: str, why: str) -> FilesMissing:
    return FilesMissing(
        f"The version can't be read from {path}: {why}.",
        hint="Correct version_file, or leave it out: git describe tells the version of a repository.",
        details={"missing": [path]},
    )
