# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operating system's errors mean for a repository that is made of files."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import shlex
import typing as t

from ..core.errors import (
    StorageError,
    StorageForbidden,
    StorageNoSpace,
    StorageNotFound,
    StorageUnreachable,
)

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What a network file system says while its server is away.
_PASSING = frozenset(
    {
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EREMOTEIO,
        errno.EAGAIN,
        errno.EBUSY,
    }
)


@contextlib.contextmanager
def translated(*, doing: str, root: str, path: str) -> t.Iterator[None]:
    """Turn every OSError of the block into the StorageError that says what to do about it."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, doing=doing, root=root, path=path) from error


def storage_error(error: OSError, *, doing: str, root: str, path: str, needed: int = 0) -> StorageError:
    """The StorageError for *error*, which came up while *doing* something ("write") at *path* below *root*.

    *needed* is the least number of bytes that the whole object has, where it is known.
    """
    what = f"{doing} {path}"
    reason = error.strerror or str(error)
    details: dict[str, t.Any] = {"path": path, "errno": errno.errorcode.get(error.errno or 0, str(error.errno))}
    if error.errno in _FORBIDDEN:
        return StorageForbidden(
            f"The user {user_name()} may not {what}: {reason}.",
            hint=_forbidden_hint(error, path=path),
            details={**details, "user": user_name()},
        )
    if error.errno in _NO_SPACE:
        return _no_space(error, what=what, root=root, needed=needed, details=details)
    if error.errno == errno.ENOENT:
        return StorageNotFound(f"There is nothing to {what}.", details=details)
    if error.errno in _PASSING:
        return StorageUnreachable(
            f"Could not {what}: {reason}.",
            hint=f"Look whether the file system is there: df -h {shlex.quote(root)}",
            details=details,
        )
    return StorageError(
        f"Could not {what}: {reason}.", hint=f"Run: ls -ld {shlex.quote(path)}; dmesg | tail", details=details
    )


def user_name() -> str:
    """Who we are to the file system, for people: ``backup (uid 34)``."""
    uid = os.geteuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"with uid {uid}"


def _forbidden_hint(error: OSError, *, path: str) -> str:
    folder = os.path.dirname(path) or "/"
    if error.errno == errno.EROFS:
        return f"The file system is mounted read-only. Run: findmnt -T {shlex.quote(folder)}"
    return (
        f"Run: namei -l {shlex.quote(path)}   {user_name()} must be able to enter every folder and write in {folder}."
    )


def _no_space(error: OSError, *, what: str, root: str, needed: int, details: t.Mapping[str, t.Any]) -> StorageNoSpace:
    free = free_bytes(root)
    facts = {**details, "free_bytes": free, "needed_bytes": needed or None}
    wanted = f", and at least {needed} are needed" if needed else ""
    if error.errno == errno.EFBIG:
        return StorageNoSpace(
            f"Could not {what}: the file would be larger than the file system or the process's limit allows.",
            hint="Run: ulimit -f   It should be unlimited; a FAT file system holds no file over 4 GiB.",
            details=facts,
        )
    if error.errno == errno.EDQUOT:
        return StorageNoSpace(
            f"Could not {what}: the disk quota of {user_name()} is used up.",
            hint="Run: quota -s   Free some space, or raise the quota.",
            details=facts,
        )
    return StorageNoSpace(
        f"Could not {what}: no space left: {free} bytes are free without it{wanted}.",
        hint=f"Run: df -h {shlex.quote(root)}; df -i {shlex.quote(root)}   Free some space, or give it more.",
        details=facts,
    )


def free_bytes(path: str) -> int | None:
    """Bytes that an ordinary user can still store at *path*; None when it can't be told."""
    try:
        facts = os.statvfs(path)
    except OSError:
        return None
    return facts.f_bavail * facts.f_frsize
