# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages in which a server sends a base backup from PostgreSQL 15 on: archives, one after the other, and a list.

BASE_BACKUP answers with one COPY OUT whose messages begin with a letter: ``n`` begins an archive (its name and, for a
tablespace, its folder, each ended by a zero byte), ``d`` is data of the archive or of the manifest, ``p`` says how far
it is (8 bytes), ``m`` begins the manifest (PostgreSQL's manual, "Streaming Replication Protocol", BASE_BACKUP). Where
the data is cut into messages means nothing.
"""

from __future__ import annotations

import struct
import typing as t

from ..core.errors import PostgresStreamIncomplete

_PROGRESS = struct.Struct("!q")
_NEW, _DATA, _PROGRESS_TYPE, _MANIFEST = b"n", b"d", b"p", b"m"


class BaseBackupParts(t.Protocol):
    """Who takes what the messages say, in their order."""

    def archive(self, name: str, location: str) -> None:
        """An archive begins; *location* is the tablespace's folder, empty for the data folder."""

    def data(self, piece: memoryview) -> None:
        """More of what began last."""

    def manifest(self) -> None:
        """The backup manifest begins; no archive follows."""


class BaseBackupMessages:
    """Reads one message at each :meth:`write` (the shape that psycopg2 gives a COPY to). Keeps nothing of the data."""

    def __init__(self, parts: BaseBackupParts) -> None:
        self._parts = parts
        self._archives = 0
        self._in_manifest = False

    def write(self, message: bytes) -> int:
        """Take one whole message. Raises PostgresStreamIncomplete for what the protocol does not know."""
        kind = message[:1]
        if kind == _DATA:
            if not self._archives:
                raise _broken("data comes before the first archive")
            self._parts.data(memoryview(message)[1:])
        elif kind == _NEW:
            if self._in_manifest:
                raise _broken("an archive comes behind the manifest")
            name, location = _two_texts(message)
            self._archives += 1
            self._parts.archive(name, location)
        elif kind == _MANIFEST:
            if self._in_manifest or not self._archives or len(message) != 1:
                raise _broken("the manifest begins where it can't")
            self._in_manifest = True
            self._parts.manifest()
        elif kind != _PROGRESS_TYPE or len(message) != 1 + _PROGRESS.size:
            raise _broken(f"a message of {len(message)} bytes begins with {kind!r}")
        return len(message)

    def finish(self) -> None:
        """The COPY is over. Raises PostgresStreamIncomplete when no manifest came."""
        if not self._in_manifest:
            raise _broken(f"it ended after {self._archives} archives, without a manifest")


def _two_texts(message: bytes) -> tuple[str, str]:
    parts = message[1:].split(b"\0")
    if len(parts) != 3 or parts[2] or not parts[0]:
        raise _broken("the head of an archive is cut off")
    try:
        return parts[0].decode("utf-8"), parts[1].decode("utf-8")
    except UnicodeDecodeError:
        raise _broken(f"the name of an archive is no text: {parts[:2]!r}") from None


def _broken(why: str) -> PostgresStreamIncomplete:
    return PostgresStreamIncomplete(
        f"The server sent a base backup that can't be followed: {why}.",
        hint="Start the backup again; if it happens again, look at what stands between here and the server.",
        details={"reason": why},
    )
