# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Old files out of a data folder and new ones into it, by renames that can be begun again and taken back.

What is moved aside keeps its name with ``.before-<restore id>`` behind it. Where a server that came up by itself in the
middle (a reboot) wrote files of its own, those are kept as well, with a number behind.
"""

from __future__ import annotations

import os
import typing as t

from ..core.durable import fsync_folder
from ..core.errors import RestoreError
from .staging import remove


def aside_name(name: str, restore_id: str) -> str:
    """Under which name something is kept."""
    return f"{name}.before-{restore_id}"


def existing(directory: str, names: t.Iterable[str]) -> list[str]:
    """Those of *names* that are there."""
    return [name for name in names if os.path.lexists(os.path.join(directory, name))]


def move_aside(directory: str, names: t.Sequence[str], *, restore_id: str) -> None:
    """Move what is there aside. What was moved by an earlier call stays; what came since is kept beside it."""
    for name in existing(directory, names):
        path = os.path.join(directory, name)
        kept = os.path.join(directory, aside_name(name, restore_id))
        os.rename(path, _free_name(kept))
    fsync_folder(directory)


def put_back(directory: str, names: t.Sequence[str], *, restore_id: str) -> None:
    """Undo :func:`move_aside`: what was moved first comes back; what lies there now was written since, and goes."""
    for name in names:
        path = os.path.join(directory, name)
        kept = os.path.join(directory, aside_name(name, restore_id))
        if os.path.lexists(kept):
            remove(path)
            os.rename(kept, path)
    fsync_folder(directory)


def place(staging: str, directory: str, places: t.Sequence[tuple[str, str]], *, restore_id: str) -> None:
    """Move what is staged to its names. Raises RestoreError when it is neither here nor there."""
    for staged, name in places:
        source, path = os.path.join(staging, staged), os.path.join(directory, name)
        if os.path.lexists(source):
            if os.path.lexists(path):
                os.rename(path, _free_name(os.path.join(directory, aside_name(name, restore_id))))
            os.rename(source, path)
        elif not os.path.lexists(path):
            raise RestoreError(
                f"What was fetched is gone: neither {source} nor {path} is there.",
                hint=f"Take the restore back and begin again: lifeboat restore --roll-back {restore_id}",
            )
    fsync_folder(directory)


def take_away(directory: str, names: t.Sequence[str]) -> None:
    """Undo :func:`place`."""
    for name in names:
        remove(os.path.join(directory, name))
    fsync_folder(directory)


def kept_aside(directory: str, *, restore_id: str) -> list[str]:
    """The paths of everything in *directory* that a restore moved aside."""
    mark = aside_name("", restore_id)
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    return [os.path.join(directory, name) for name in names if mark in name]


def _free_name(path: str) -> str:
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = f"{path}.{number}"
    return free
