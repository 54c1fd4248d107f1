# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of paths: what is left out of a backup, and what is taken out of one."""

from __future__ import annotations

import re
import typing as t

from ..core.errors import RequestInvalid

_SPECIAL = re.compile(r"[*?\[]")


class Patterns:
    """Several patterns, each in one of three forms.

    ``*.pyc`` is the name of a file or folder anywhere; ``conf.d/*.bak`` the end of a path; ``/etc/ssl/private`` a whole
    path. ``*`` and ``?`` stay within one name, ``**`` crosses folders, ``[abc]`` is one letter of these. What is in a
    folder that matches matches, too.
    """

    def __init__(self, patterns: t.Sequence[str]) -> None:
        """Raises RequestInvalid for what is no pattern."""
        self._expressions = [_expression(pattern) for pattern in patterns]

    def match(self, path: str) -> bool:
        """Whether *path* (without the slash at its beginning) itself is matched."""
        return any(expression.match(f"/{path}") for expression in self._expressions)

    def match_any(self, path: str) -> bool:
        """Whether *path* or a folder that it lies in is matched."""
        parts = path.split("/")
        return any(self.match("/".join(parts[:count])) for count in range(1, len(parts) + 1))


def is_glob(path: str) -> bool:
    """Whether it has letters that stand for others."""
    return _SPECIAL.search(path) is not None


def _expression(pattern: str) -> re.Pattern[str]:
    wanted = pattern.rstrip("/")
    if not wanted or "\0" in wanted:
        raise RequestInvalid(
            f"{pattern!r} is no pattern of paths.", hint="For example *.pyc, conf.d/*.bak or /etc/ssl/private."
        )
    if not wanted.startswith("/"):
        wanted = f"/**/{wanted}"
    parts = [_translated(part) for part in wanted.split("/")[1:]]
    try:
        return re.compile("".join(parts) + r"\Z", re.DOTALL)
    except re.error as error:
        raise RequestInvalid(f"{pattern!r} is no pattern of paths: {error}.", hint="Close every [ by a ].") from error


def _translated(part: str) -> str:
    if part == "**":
        return "(?:/[^/]+)*"
    made, index = "/", 0
    while index < len(part):
        letter = part[index]
        index += 1
        if letter == "*":
            while part[index : index + 1] == "*":
                index += 1
            made += "[^/]*"
        elif letter == "?":
            made += "[^/]"
        elif letter == "[":
            end = part.find("]", index + 1)
            if end < 0:
                made += re.escape(letter)
                continue
            inner = part[index:end].replace("\\", "\\\\")
            made += f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
            index = end + 1
        else:
            made += re.escape(letter)
    return made
