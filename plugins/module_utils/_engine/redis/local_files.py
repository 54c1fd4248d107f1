# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server's data files are the ones that this host sees under the same name.

A path proves nothing: a container's /data and a forwarded port look local and aren't. The server changes into its
data folder, so the folder being the working folder of the server's own process is proof. Where another user's process
may not be looked at, or it lives in a container that shares the folder, the files have to prove themselves later: by
changing when that server saves (``bgsave.py``), by having the lengths that it tells (``aof.py``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..core.errors import RedisFilesUnreachable
from .facts import ServerFacts


@dataclass(frozen=True)
class FileIdentity:
    """One state of one file: another save gives another one, even when the file system uses the inode again."""

    device: int
    inode: int
    modified: int
    changed: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """From the result of stat() or fstat()."""
        return cls(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


@dataclass(frozen=True)
class DataFolder:
    """The server's data folder as this host sees it. *proven* says that it is that server's for certain."""

    path: str
    proven: bool

    def join(self, name: str) -> str:
        """The path of a file in it."""
        return os.path.join(self.path, name)


def data_folder(facts: ServerFacts) -> DataFolder:
    """The server's data folder. Raises RedisFilesUnreachable when this host can't have it or may not read it."""
    if facts.settings is None:
        raise RedisFilesUnreachable(
            "Where the server keeps its files is not known: the user may not run CONFIG GET.",
            hint="Allow it (ACL SETUSER <user> +config|get), or use method: sync.",
        )
    path = facts.settings.get("dir", "")
    try:
        here = os.stat(path)
        os.listdir(path)
    except OSError as error:
        raise RedisFilesUnreachable(
            f"The server's data folder {path!r} can't be read on this host: {error.strerror}.",
            hint="Run Lifeboat on the server's host as a user who may read that folder, or use method: sync.",
            details={"path": path},
        ) from error
    try:
        working = os.stat(f"/proc/{facts.process_id}/cwd")
    except OSError:
        # No such process here (a container, another host), or one that may not be looked at.
        return DataFolder(path=path, proven=False)
    same = (working.st_dev, working.st_ino) == (here.st_dev, here.st_ino)
    return DataFolder(path=path, proven=same)


def identity_of(path: str) -> FileIdentity | None:
    """The state of the file at *path*; None when there is none or it may not be looked at."""
    try:
        return FileIdentity.of(os.stat(path))
    except OSError:
        return None
