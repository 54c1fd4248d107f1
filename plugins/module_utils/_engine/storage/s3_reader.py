# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object on its way out of a bucket, over as many connections as it takes."""

from __future__ import annotations

import typing as t

from ..core.errors import StorageError, StorageUnreachable
from .s3_connection import S3Connection
from .s3_errors import http_status, translated

_PIECE = 1024 * 1024
_MOST_FAILURES = 5
_RANGE_OUTSIDE = 416
_CONDITION_FAILED = 412


def read_object(connection: S3Connection, key: str, *, offset: int, length: int | None) -> t.Iterator[bytes]:
    """The bytes of the object from *offset*, at most *length*.

    The object is asked for at once, so StorageNotFound comes now. When the connection breaks the next one goes on
    at the same byte, of the same version of the object; after five failures without a byte in between it is given up.
    """
    if length == 0:
        connection.head(key)
        return iter(())
    last = None if length is None else offset + length - 1
    answer = _ask(connection, key, first=offset, last=last, etag=None)
    if answer is None:
        return iter(())
    pieces = _pieces(connection, key, answer, first=offset)
    # Started here, so that the connection is given back even when nobody asks for the first piece.
    next(pieces)
    return pieces


def _ask(connection: S3Connection, key: str, *, first: int, last: int | None, etag: str | None) -> t.Any:
    """The answer of GetObject, None when the object has no byte *first*."""
    from botocore.exceptions import ClientError

    arguments: dict[str, str] = {} if etag is None else {"IfMatch": etag}
    if first or last is not None:
        arguments["Range"] = f"bytes={first}-{'' if last is None else last}"
    client = connection.client
    with translated(connection.options, doing=f"read {key}"):
        try:
            return client.get_object(**connection.place(key), **arguments)
        except ClientError as error:
            if http_status(error) == _RANGE_OUTSIDE:
                return None
            if http_status(error) != _CONDITION_FAILED:
                raise
            raise StorageError(
                f"{key} was replaced while it was read; what was read of the old one is of no use.",
                hint="Read it again from the start.",
            ) from error


def _pieces(connection: S3Connection, key: str, answer: t.Any, *, first: int) -> t.Iterator[bytes]:
    etag = answer["ETag"]
    position = first
    end = first + int(answer["ContentLength"])
    failures = 0
    body = answer["Body"]
    try:
        yield b""
        while position < end:
            try:
                piece = _read_piece(connection, key, body)
            except StorageUnreachable:
                failures += 1
                if failures == _MOST_FAILURES:
                    raise
                connection.clock.sleep(min(2.0 ** (failures - 2), 8.0))
                body.close()
                body = _ask(connection, key, first=position, last=end - 1, etag=etag)["Body"]
                continue
            failures = 0
            position += len(piece)
            yield piece
    finally:
        body.close()


def _read_piece(connection: S3Connection, key: str, body: t.Any) -> bytes:
    with translated(connection.options, doing=f"read {key}"):
        piece: bytes = body.read(_PIECE)
    if not piece:
        raise StorageUnreachable(f"{connection.options.server} ended {key} before its last byte.")
    return piece
