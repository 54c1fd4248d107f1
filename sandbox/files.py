# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import stat
import tempfile
from pathlib import Path

from .errors import SandboxError


def short_directory(directory: Path) -> Path:
    """A folder for Unix sockets: ``directory``, or one in /tmp named after it when its path is too long for sockets.

    The kernel limits a socket's path to 107 bytes, of which the file name takes up to 26.
    """
    if len(bytes(directory)) <= 80:
        return directory
    digest = hashlib.sha256(bytes(directory)).hexdigest()
    return Path(tempfile.gettempdir()) / f"lifeboat-socket-{digest[:16]}"


def create_directory(path: Path, *, mode: int, owner: str | None = None) -> None:
    """Make it unless it is there and belongs to us or to ``owner``: in /tmp somebody else may have laid a trap."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        found = path.lstat()
        owners = {os.geteuid()} | ({pwd.getpwnam(owner).pw_uid} if owner else set())
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            raise SandboxError(f"{path} belongs to somebody else: remove it") from None
    path.chmod(mode)


def replace_file(path: Path, content: str, *, mode: int = 0o600) -> None:
    """Write a small file so that nobody ever reads a half of it, with ``mode`` from its first moment."""
    temporary = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    temporary.replace(path)
