# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Second names for append-only files, so that a server which deletes them after a rewrite deletes nothing unread.

A hard link needs the same file system: beside the spool where it can be, else in a hidden folder of the server's data
folder. Where neither takes one, the files are kept open, which lasts as long as this process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

from ..core.durable import fsync_folder
from .aof_log_notes import FOLDER


class Links:
    """The links of one spool. Names are ``<chain>.<increment>.<type>``."""

    def __init__(self, spool: str) -> None:
        self._spool = spool
        self._beside = os.path.join(spool, FOLDER)
        self._open: dict[str, int] = {}

    def take(self, name: str, path: str, descriptor: int, *, data_folder: str) -> bool:
        """Keep the file behind *descriptor*, which was opened as *path*. False: only as long as this process lives.

        Raises FileNotFoundError when *path* is gone or another file by now, and ``OSError``.
        """
        wanted = os.fstat(descriptor)
        for folder in self._folders(data_folder):
            kept = os.path.join(folder, name)
            if _is(kept, wanted):
                self._drop(name)
                return True
            if not self._link(path, kept, folder=folder):
                continue
            if not _is(kept, wanted):
                os.unlink(kept)
                raise FileNotFoundError(path)
            fsync_folder(folder)
            self._drop(name)
            return True
        self._drop(name)
        self._open[name] = os.dup(descriptor)
        return False

    def open(self, name: str, *, data_folder: str) -> int | None:
        """A descriptor of its own for a file that is kept, None when there is none."""
        for folder in self._folders(data_folder):
            with contextlib.suppress(FileNotFoundError):
                return os.open(os.path.join(folder, name), os.O_RDONLY | os.O_CLOEXEC)
        return os.dup(self._open[name]) if name in self._open else None

    def remove(self, name: str, *, data_folder: str) -> None:
        """Let a file go."""
        self._drop(name)
        for folder in self._folders(data_folder):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))
        with contextlib.suppress(OSError):
            os.rmdir(self._in_data(data_folder))  # only when it is empty

    def size(self, *, data_folder: str) -> int:
        """Bytes of the files that only a link keeps by now."""
        total = 0
        for folder in self._folders(data_folder):
            with contextlib.suppress(OSError):
                for entry in os.scandir(folder):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_nlink == 1 and not entry.name.endswith(".json") and not entry.name.startswith("."):
                        total += status.st_size
        return total

    def close(self) -> None:
        """Let go what is only kept open."""
        for name in list(self._open):
            self._drop(name)

    def _folders(self, data_folder: str) -> tuple[str, str]:
        return self._beside, self._in_data(data_folder)

    def _in_data(self, data_folder: str) -> str:
        # Two spools may take from one server.
        mark = hashlib.sha256(os.fsencode(os.path.realpath(self._spool))).hexdigest()[:8]
        return os.path.join(data_folder, f".lifeboat-aof-log-{mark}")

    def _link(self, path: str, kept: str, *, folder: str) -> bool:
        """Whether the file system takes the link. Raises FileNotFoundError when *path* is gone."""
        status = os.stat(path)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            if os.stat(folder).st_dev != status.st_dev:
                self._tidy(folder)
                return False
            with contextlib.suppress(FileNotFoundError):
                os.unlink(kept)  # another file's, of the same number
            os.link(path, kept)
        except FileNotFoundError:
            raise
        except OSError:
            self._tidy(folder)
            return False
        return True

    def _tidy(self, folder: str) -> None:
        if folder != self._beside:
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def _drop(self, name: str) -> None:
        descriptor = self._open.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)


def _is(path: str, wanted: os.stat_result) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    return (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino)


def link_name(chain: int, key: str) -> str:
    """The name of a link."""
    return f"{chain}.{key}"
