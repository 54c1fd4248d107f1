# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of files with everything that a file can have, and what is in them, for comparing."""

from __future__ import annotations

import hashlib
import os
import pathlib
import stat
import struct
import typing as t

ACCESS = "system.posix_acl_access"
#: user::rwx, user:1000:r--, group::r-x, mask::r-x, other::r-x
ACCESS_LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permission, number)
    for tag, permission, number in (
        (1, 7, 0xFFFFFFFF),
        (2, 4, 1000),
        (4, 5, 0xFFFFFFFF),
        (0x10, 5, 0xFFFFFFFF),
        (0x20, 5, 0xFFFFFFFF),
    )
)
HOLE = 5_000_000


def make_tree(base: pathlib.Path) -> pathlib.Path:
    """Configuration of a made-up server below *base*, which is made; returns it."""
    (base / "conf.d").mkdir(parents=True)
    base.chmod(0o755)
    (base / "server.conf").write_text("listen 80;\nworkers 4;\n")
    (base / "secret.key").write_text("hunter2-of-the-key\n")
    (base / "secret.key").chmod(0o600)
    (base / "conf.d" / "one.conf").write_text("one\n")
    os.link(base / "conf.d" / "one.conf", base / "conf.d" / "same.conf")
    (base / "current").symlink_to("conf.d")
    (base / "outside").symlink_to("/etc/hostname")
    with (base / "sparse.img").open("wb") as file:
        file.seek(HOLE)
        file.write(b"x" * 10_000)
        file.truncate(2 * HOLE)
    (base / "tool").write_text("#!/bin/sh\n")
    (base / "tool").chmod(0o755)
    os.setxattr(base / "tool", ACCESS, ACCESS_LIST)
    os.setxattr(base / "conf.d", "user.note", b"\0binary\nline\xff")
    pathlib.Path(os.fsdecode(os.fsencode(base) + b"/caf\xe9")).write_text("latin-1\n")
    (base / ("n" * 200)).write_text("long\n")
    os.mkfifo(base / "queue")
    if os.geteuid() == 0:
        os.chown(base / "server.conf", 12, 34)
        os.lchown(base / "outside", 12, 34)
    os.utime(base / "server.conf", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    return base


def look(base: pathlib.Path) -> dict[str, tuple[t.Any, ...]]:
    """Everything below *base* by its relative path: type, mode, owner, time, content, links, attributes."""
    found: dict[str, tuple[t.Any, ...]] = {}
    inodes: dict[int, str] = {}
    for folder, folders, files in os.walk(os.fsencode(base)):
        for name in sorted([*folders, *files]) + ([b""] if folder == os.fsencode(base) else []):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            content: t.Any = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            relative = os.path.relpath(path, os.fsencode(base)).decode("utf-8", "backslashreplace")
            first = inodes.setdefault(status.st_ino, relative)
            attributes = {
                attribute: os.getxattr(path, attribute, follow_symlinks=False)
                for attribute in os.listxattr(path, follow_symlinks=False)
            }
            found[relative] = (
                kind,
                stat.S_IMODE(status.st_mode),
                (status.st_uid, status.st_gid),
                status.st_mtime_ns,
                content,
                first,
                attributes,
            )
    return found


def without_folder_times(tree: t.Mapping[str, tuple[t.Any, ...]]) -> dict[str, tuple[t.Any, ...]]:
    """A tree whose folders may have been written into meanwhile."""
    return {path: (*entry[:3], None, *entry[4:]) if entry[0] == stat.S_IFDIR else entry for path, entry in tree.items()}
