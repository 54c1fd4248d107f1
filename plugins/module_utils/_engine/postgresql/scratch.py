# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder for one parallel dump: checked for room before, gone afterwards, recognised when a crash left it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import typing as t

from ..core.errors import PostgresScratchTooSmall, RequestInvalid

_PREFIX = "lifeboat-pg_dump-"
_LOCK = "in-use"


def check_scratch(directory: str, *, needed: int) -> int:
    """The free bytes of *directory*. Raises RequestInvalid when it can't be used, else PostgresScratchTooSmall.

    *needed* is an estimate of the largest dump in bytes.
    """
    if not os.path.isdir(directory) or not os.access(directory, os.W_OK | os.X_OK):
        raise RequestInvalid(
            f"scratch_directory {directory} is not a folder that can be written.",
            hint=f"Run: mkdir -p -m 0700 {directory}",
        )
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise PostgresScratchTooSmall(
            f"scratch_directory {directory} has {free} bytes free, and the dump needs about {needed}.",
            hint="Free space there, name another scratch_directory, or use format: custom, which needs none.",
            details={"free": free, "needed": needed},
        )
    return free


@contextlib.contextmanager
def scratch_folder(directory: str) -> t.Iterator[str]:
    """An empty folder (mode 0700) below *directory*, removed whatever happens inside."""
    _remove_leftovers(directory)
    folder = tempfile.mkdtemp(prefix=_PREFIX, dir=directory)
    try:
        # The kernel frees the lock when the process dies, however it dies: the next run then knows that nobody is here.
        with open(os.path.join(folder, _LOCK), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder)


def _remove_leftovers(directory: str) -> None:
    for name in os.listdir(directory):
        folder = os.path.join(directory, name)
        if not name.startswith(_PREFIX) or os.path.islink(folder) or not os.path.isdir(folder):
            continue
        try:
            with open(os.path.join(folder, _LOCK), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
        except (FileNotFoundError, BlockingIOError):
            continue  # just being made, just being removed, or in use
