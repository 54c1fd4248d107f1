# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server's data files are the ones that this host sees under the same name.

A path proves nothing: a container's /data and a forwarded port look local and aren't. A Redis server changes into its
data folder, so it is proof when that folder is the working folder of the very process that serves our connection. Where
another user's process may not be looked at, or it lives in a container that shares the folder, the files have to prove
themselves later: by changing when that server saves (``bgsave.py``), by having the lengths that it tells (``aof.py``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..core.errors import RedisFilesUnreachable
from .facts import ServerFacts
from .resp import RespClient
from .same_host import is_on_this_host, server_process

_ELSEWHERE = "Run Lifeboat on the server's host as a user who may read its files, or use kind: rdb with method: sync."


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


def data_folder(client: RespClient, facts: ServerFacts) -> DataFolder:
    """The server's data folder. Raises RedisFilesUnreachable when this host can't have it or may not read it."""
    if not is_on_this_host(client.stream):
        raise RedisFilesUnreachable(
            f"{client.peer} is another host, so its files can't be read here.",
            hint=_ELSEWHERE,
            details={"server": client.peer},
        )
    if facts.settings is None:
        raise RedisFilesUnreachable(
            f"Where {client.peer} keeps its files is not known: the user may not run CONFIG GET.",
            hint="Allow it (ACL SETUSER <user> +config|get), or use kind: rdb with method: sync.",
            details={"server": client.peer},
        )
    path = facts.settings.get("dir", "")
    try:
        here = os.stat(path)
        os.listdir(path)
    except OSError as error:
        raise unreadable(path, error) from error
    process = server_process(client.stream, claimed=facts.process_id)
    return DataFolder(path=path, proven=process is not None and _works_in(process, here))


def unreadable(path: str, error: OSError) -> RedisFilesUnreachable:
    """The error for a file or folder of the server that is not here or may not be read."""
    return RedisFilesUnreachable(
        f"The server's {path!r} can't be read on this host: {error.strerror}.", hint=_ELSEWHERE, details={"path": path}
    )


def refuse_unreadable(path: str) -> None:
    """Raise RedisFilesUnreachable when there is a file at *path* and it may not be read."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(path, error) from error


def identity_of(path: str) -> FileIdentity | None:
    """The state of the file at *path*; None when there is none or it may not be looked at."""
    try:
        return FileIdentity.of(os.stat(path))
    except OSError:
        return None


def _works_in(process: int, folder: os.stat_result) -> bool:
    try:
        working = os.stat(f"/proc/{process}/cwd")
    except OSError:
        return False
    return (working.st_dev, working.st_ino) == (folder.st_dev, folder.st_ino)
