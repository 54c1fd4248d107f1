# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a description that may be wrong anywhere: what has the expected shape, and nothing else."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .problems import Path


@dataclass(frozen=True)
class Entry:
    """One mapping of a list, and where it stands."""

    path: Path
    data: t.Mapping[str, t.Any]


def mapping(value: t.Any) -> t.Mapping[str, t.Any]:
    """*value* when it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def entries(holder: t.Mapping[str, t.Any], path: Path, key: str) -> list[Entry]:
    """The mappings in the list *key* of *holder*."""
    value = holder.get(key)
    if not isinstance(value, list):
        return []
    return [Entry((*path, key, index), item) for index, item in enumerate(value) if isinstance(item, dict)]


def text_at(holder: t.Mapping[str, t.Any], key: str) -> str | None:
    """The text at *key*, None when there is none."""
    value = holder.get(key)
    return value if isinstance(value, str) else None


def names_of(listed: t.Sequence[Entry]) -> list[str]:
    """The names of *listed*, of those that have one."""
    names = [text_at(entry.data, "name") for entry in listed]
    return [name for name in names if name is not None]
