# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE.md as somebody reads it who has nothing else: its commands, in its order, word for word."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Commands:
    """One block of commands below a heading."""

    heading: str
    text: str


def commands_in(markdown: str) -> list[Commands]:
    """Every block: those in ``sh``, and indented ones. Blocks without a language are what commands print."""
    found: list[Commands] = []
    heading, fence, lines = "", None, []

    def end() -> None:
        if lines:
            found.append(Commands(heading=heading, text="\n".join(lines)))
            lines.clear()

    for line in markdown.splitlines():
        if fence is not None:
            if line == "```":
                if fence == "sh":
                    end()
                lines.clear()
                fence = None
            else:
                lines.append(line)
        elif line.startswith("    "):
            lines.append(line[4:])
        else:
            end()
            if line.startswith("```"):
                fence = line[3:]
            elif line.startswith("#"):
                heading = line.lstrip("#").strip()
    end()
    return found


def script_of(
    markdown: str,
    *,
    folder: str,
    bucket: str = "/bucket",
    work: str = "/srv",
    without: t.Sequence[str] = (),
    between: t.Mapping[str, str] | None = None,
) -> str:
    """What is typed at root's shell: the folder is fetched from *bucket* to *work*, then every block follows.

    A block that has one of *without* in it is another way to the same end, and left out. *between* puts commands of the
    operator's own before the first block that has the key in it.
    """
    todo = dict(between or {})
    parts = ["set -eu -o pipefail", f"cd '{work}'", f"cp -r '{bucket}/{folder.rstrip('/')}' ."]
    for block in commands_in(markdown):
        if any(words in block.text for words in without):
            continue
        parts += [todo.pop(words) for words in list(todo) if words in block.text]
        # Again in every block: `su` opens another shell, which reads on.
        parts += ["set -eu -o pipefail", block.text]
    assert not todo, f"no block has {', '.join(todo)} in it"
    return "\n".join(parts) + "\n"
