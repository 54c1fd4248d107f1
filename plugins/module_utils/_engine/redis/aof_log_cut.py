# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a growing append-only file may be cut, and what a span of it holds. Constant memory; the file is only read.

A cut is behind a complete command and never between MULTI and EXEC: a server that loads a file which ends there takes
all of it.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from ..core.errors import AofInvalid, AofUnstable
from .aof_commands import CommandFacts, CommandWalker

_READ = 1024 * 1024
_TAIL = 4096
_HINT = "Run on the server: redis-cli BGREWRITEAOF; redis-check-aof shows the damage."


def find_cut(descriptor: int, *, name: str, start: int, size: int, limit: int) -> int:
    """The last place to cut at between *start* (one itself) and *size*, or the first one beyond *limit* bytes.

    Raises AofInvalid where a server would stop with a format error.
    """
    walker = CommandWalker(name=name, offset=start)
    for piece in read_span(descriptor, start, size, name=name):
        walker.feed(piece)
        if walker.whole - start >= limit:
            break
    return walker.whole


def measure(descriptor: int, *, name: str, start: int, end: int) -> tuple[CommandFacts, str]:
    """What stands between two cuts, and its SHA-256. Raises AofInvalid when one of them is none."""
    walker, digest = CommandWalker(name=name, offset=start), hashlib.sha256()
    for piece in read_span(descriptor, start, end, name=name):
        walker.feed(piece)
        digest.update(piece)
    facts = walker.finish()
    if facts.torn:
        raise AofInvalid(f"{name} has no complete command that ends at byte {end}.", hint=_HINT, details={"file": name})
    return facts, digest.hexdigest()


def hash_span(descriptor: int, start: int, end: int, *, name: str) -> str:
    """The SHA-256 of a span. Raises AofUnstable when the file is shorter."""
    digest = hashlib.sha256()
    for piece in read_span(descriptor, start, end, name=name):
        digest.update(piece)
    return digest.hexdigest()


def tail_hash(descriptor: int, end: int, *, name: str) -> str:
    """The SHA-256 of the last bytes before *end*: what shows later that the file still is the same up to there."""
    return hash_span(descriptor, max(0, end - _TAIL), end, name=name)


def copy_span(descriptor: int, start: int, end: int, output: t.BinaryIO, *, name: str, sha256: str) -> None:
    """Copy a span. Raises AofUnstable when it is not what was measured before."""
    digest = hashlib.sha256()
    for piece in read_span(descriptor, start, end, name=name):
        digest.update(piece)
        output.write(piece)
    if digest.hexdigest() != sha256:
        raise _changed(name)


def read_span(descriptor: int, start: int, end: int, *, name: str) -> t.Iterator[bytes]:
    """The bytes from *start* to *end*. Raises AofUnstable when the file ends before."""
    while start < end:
        piece = os.pread(descriptor, min(_READ, end - start), start)
        if not piece:
            raise _changed(name)
        start += len(piece)
        yield piece


def _changed(name: str) -> AofUnstable:
    return AofUnstable(
        f"{name} became shorter or other while it was read: the server took back a write that failed.",
        hint="Look at the server's log and its disk (aof_last_write_status); the next capture tries again.",
        details={"file": name},
    )
