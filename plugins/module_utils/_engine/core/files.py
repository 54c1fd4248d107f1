# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a file that others read meanwhile: they see the old one or the new one, never half of it."""

from __future__ import annotations

import contextlib
import os
import tempfile

from .errors import OutputUnwritable


def replace_file(path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Put *data* there in one step. It need not survive a crash of the machine. Raises OutputUnwritable."""
    folder, name = os.path.split(os.path.abspath(path))
    temporary = ""
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(21, "Is a directory")
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            if temporary:
                os.unlink(temporary)
        raise OutputUnwritable(
            f"{path} can't be written: {error.strerror}.",
            hint=f"Look at its folder: ls -ld {folder}",
            details={"path": path},
        ) from error
