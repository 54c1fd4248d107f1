# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of files as text: every byte that is no UTF-8 becomes a surrogate escape, whatever the locale of the run is.

Paths in backups have no slash at the beginning: ``etc/nginx/nginx.conf``. The order of walks, tars and lists is that of
:func:`order`: a folder comes before what is in it, and all that is in it before its next neighbour.
"""

from __future__ import annotations

#: What restores in place make and backups never take: see :mod:`places`.
RESTORE_PREFIX = ".lifeboat-restore-"


def raw(name: str) -> bytes:
    """As the kernel wants it."""
    return name.encode("utf-8", "surrogateescape")


def text(name: bytes) -> str:
    """As the engine has it."""
    return name.decode("utf-8", "surrogateescape")


def order(path: str) -> bytes:
    """What paths are sorted by: component by component, each by its bytes."""
    return raw(path).replace(b"/", b"\0")


def shown(name: str) -> str:
    """For messages and manifests: bytes that are no UTF-8 as ``\\xNN``."""
    return raw(name).decode("utf-8", "backslashreplace")


def is_below(path: str, folder: str) -> bool:
    """Whether *path* is *folder* or in it."""
    return path == folder or path.startswith(f"{folder}/")
