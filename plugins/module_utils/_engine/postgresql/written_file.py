# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that a server's scripts read or are: there in one step, or as they were before."""

from __future__ import annotations

import os

from ..core.durable import fsync_folder


def replace_file(path: str, text: str, *, mode: int) -> bool:
    """Make the file durable with that content and mode; False when it is so already. Raises OSError.

    It is written under another name and then renamed: a server that calls it meanwhile sees the old one or the new one.
    """
    data = text.encode("utf-8")
    try:
        with open(path, "rb") as file:
            if file.read() == data and os.fstat(file.fileno()).st_mode & 0o777 == mode:
                return False
    except FileNotFoundError:
        pass
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".tmp-{name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    fsync_folder(folder or ".")
    return True
