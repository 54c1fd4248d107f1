# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extended attributes and access lists, read and written; and access lists as text, which GNU tar's ``--acls`` reads.

The kernel keeps access lists in ``system.posix_acl_access`` and ``system.posix_acl_default``: a version, then tag,
permission and id of each entry, little-endian (linux/posix_acl_xattr.h).
"""

from __future__ import annotations

import errno
import os
import struct
import typing as t

from .names import raw

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_VERSION = 2
_NOBODY = 0xFFFFFFFF  # the id of entries without one
_TAGS = {0x01: "user", 0x02: "user", 0x04: "group", 0x08: "group", 0x10: "mask", 0x20: "other"}
_NAMED = (0x02, 0x08)
_NOT_THERE = (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES)
Place = t.Union[int, str]


def read_extended(place: Place) -> dict[str, bytes]:
    """All that can be read of a file (a descriptor, or a path whose last part is not followed), by name.

    A file system without them has none. Raises OSError.
    """
    found: dict[str, bytes] = {}
    follow = isinstance(place, int)
    where = place if isinstance(place, int) else raw(place)
    try:
        names = os.listxattr(where, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EPERM):
            return found
        raise
    for name in sorted(names):
        try:
            found[name] = os.getxattr(where, name, follow_symlinks=follow)
        except OSError as error:
            # Removed meanwhile, or another user's: trusted.* is for the administrator only.
            if error.errno not in _NOT_THERE:
                raise
    return found


def write_extended(place: Place, wanted: t.Mapping[str, bytes]) -> list[str]:
    """Make them those that are *wanted*; returns the names of those that could not be set here.

    Attributes that are there and not wanted are removed where that is allowed. Raises OSError when the place is full.
    """
    follow = isinstance(place, int)
    where = place if isinstance(place, int) else raw(place)
    refused: list[str] = []
    there = read_extended(place)
    for name in there:
        if name not in wanted:
            try:
                os.removexattr(where, name, follow_symlinks=follow)
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    raise
    for name, value in wanted.items():
        if there.get(name) == value:
            continue
        try:
            os.setxattr(where, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL):
                raise
            refused.append(name)
    return refused


def access_list_text(value: bytes) -> str | None:
    """``user::rw-,user:1000:r--,...`` with numbers for names; None for what is none."""
    if len(value) < 4 or (len(value) - 4) % 8 or struct.unpack_from("<I", value)[0] != _VERSION:
        return None
    parts = []
    for tag, permission, number in struct.iter_unpack("<HHI", value[4:]):
        if tag not in _TAGS:
            return None
        letters = "".join(letter if permission & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
        parts.append(f"{_TAGS[tag]}:{number if tag in _NAMED else ''}:{letters}")
    return ",".join(parts)


def access_list_value(listed: str) -> bytes | None:
    """What the kernel keeps, from :func:`access_list_text`; None for what is no such text."""
    made = struct.pack("<I", _VERSION)
    for part in listed.split(","):
        name, _colon, rest = part.partition(":")
        number, _colon, letters = rest.partition(":")
        tags = [tag for tag, called in _TAGS.items() if called == name and (tag in _NAMED) == bool(number)]
        if len(tags) != 1 or len(letters) != 3 or (number and (not number.isdigit() or int(number) >= _NOBODY)):
            return None
        permission = sum(bit for letter, bit in zip(letters, (4, 2, 1)) if letter != "-")
        made += struct.pack("<HHI", tags[0], permission, int(number) if number else _NOBODY)
    return made
