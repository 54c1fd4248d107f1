# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checksums inside the databases' own formats, by the library anycrc (some gigabytes a second)."""

from __future__ import annotations

import typing as t

from .errors import LibraryMissing

#: Of the mongodump archive (Go's ECMA polynomial).
CRC64_XZ = "CRC64-XZ"
#: Of the backup manifests of PostgreSQL.
CRC32C = "CRC32C"
#: Of RDB files.
CRC64_REDIS = "CRC64-REDIS"

Crc = t.Callable[[t.Union[bytes, bytearray, memoryview], int], int]


def crc_function(model: str) -> Crc:
    """The function ``(data, checksum of what came before) -> checksum``; 0 is the checksum of nothing.

    *model* is one of the names above. Raises LibraryMissing.
    """
    try:
        import anycrc
    except ImportError as error:
        raise LibraryMissing(
            "The Python library anycrc is not installed; the checksums inside MongoDB archives and RDB files need it.",
            hint="Install it for the interpreter that runs Lifeboat: pip install anycrc",
            details={"library": "anycrc"},
        ) from error
    function: Crc = anycrc.Model(model).calc
    return function
