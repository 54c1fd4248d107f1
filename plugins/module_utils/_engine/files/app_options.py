# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup of an application may be asked to be."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.options import flag, optional_text
from .options import FilesOptions, options_from_description
from .patterns import Patterns

#: What is made anew from the code, and left out of the tree unless ``caches`` says something else.
CACHES = (
    "__pycache__",
    "*.pyc",
    "node_modules",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
)
APP_KEYS = ("git_bundle", "tree", "caches", "version_file")
_OF = "files app"


@dataclass(frozen=True)
class AppOptions:
    """*git_bundle*: True asks for a repository and refuses to go without, False stores none; None takes those that are
    there. *tree* stores the files, without what matches *caches*. *version_file* holds the version in its first line.
    """

    files: FilesOptions
    git_bundle: bool | None = None
    tree: bool = True
    caches: tuple[str, ...] = CACHES
    version_file: str = ""

    @classmethod
    def from_description(cls, description: t.Mapping[str, t.Any]) -> AppOptions:
        """The options of a description. Raises RequestInvalid."""
        files = options_from_description(description, more=APP_KEYS)
        made = cls(
            files=files,
            git_bundle=None if description.get("git_bundle") is None else flag(description, "git_bundle", of=_OF),
            tree=description.get("tree") is None or flag(description, "tree", of=_OF),
            caches=_caches(description),
            version_file=_version_file(description),
        )
        if not made.tree and made.git_bundle is False:
            raise RequestInvalid(
                f"{_OF}: without git_bundle and without tree nothing is left to store.", hint="Leave one of them out."
            )
        return made


def _caches(description: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    given = description.get("caches")
    if given is None:
        return CACHES
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) and one for one in given):
        raise RequestInvalid(f"{_OF}.caches must be a list of patterns, such as [node_modules, '*.pyc'].")
    Patterns(given)
    return tuple(given)


def _version_file(description: t.Mapping[str, t.Any]) -> str:
    path = optional_text(description, "version_file", of=_OF) or ""
    if path and not path.startswith("/"):
        raise RequestInvalid(
            f"{_OF}.version_file must be an absolute path, not {path!r}.", hint="For example /opt/app/VERSION."
        )
    return path
