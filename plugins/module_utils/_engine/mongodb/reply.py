# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutting the documents out of a server's reply to find or getMore, as one piece of bytes.

A driver's cursor makes an object of each document; that alone costs more than everything else that a dump does. Here a
batch stays bytes: the array's own keys ("0", "1", ...) are taken out in one pass, and the cursor's id is read in place.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import bson_bytes


@dataclass(frozen=True)
class Batch:
    """One reply: *documents* are the documents' bytes, one after the other; *cursor_id* 0 means that it was the last.

    *at_cluster_time* is the snapshot's time (seconds, ordinal) where the read was one.
    """

    documents: bytes
    count: int
    cursor_id: int
    at_cluster_time: tuple[int, int] | None


def parse_reply(raw: bson_bytes.Buffer) -> Batch:
    """The batch of a reply's bytes. Raises MalformedBson when it has no cursor in it."""
    cursor = bson_bytes.find(raw, b"cursor")
    if cursor is None or cursor.type != bson_bytes.DOCUMENT:
        raise bson_bytes.MalformedBson("the reply holds no cursor")
    cursor_id: int | None = None
    at_cluster_time: tuple[int, int] | None = None
    array: bson_bytes.Element | None = None
    for element in bson_bytes.elements(raw, cursor.start, cursor.end):
        if element.key == b"id":
            cursor_id = bson_bytes.int64(raw, element)
        elif element.key in (b"firstBatch", b"nextBatch"):
            array = element
        elif element.key == b"atClusterTime":
            at_cluster_time = bson_bytes.timestamp(raw, element)
    if cursor_id is None or array is None or array.type != bson_bytes.ARRAY:
        raise bson_bytes.MalformedBson("the reply's cursor has no id or no batch")
    documents = array_documents(memoryview(raw)[array.start : array.end])
    count = count_in_array(array_length=array.end - array.start, documents_length=len(documents))
    return Batch(documents=documents, count=count, cursor_id=cursor_id, at_cluster_time=at_cluster_time)


def array_documents(array: memoryview) -> bytes:
    """The documents of a BSON array of documents, joined. Raises MalformedBson."""
    import bson

    # pymongo's C extension has had this function since 3.12 for its own raw batches, though it isn't public.
    fast: t.Callable[[memoryview], bytes] | None = getattr(bson, "_array_of_documents_to_buffer", None)
    if fast is None:
        return join_documents(array)
    try:
        return bytes(fast(array))
    except bson.errors.InvalidBSON as error:
        raise bson_bytes.MalformedBson(str(error)) from error


def join_documents(array: memoryview) -> bytes:
    """What :func:`array_documents` does, in plain Python. Raises MalformedBson."""
    end = bson_bytes.document_length(array, 0, len(array)) - 1
    position = 4
    index = 0
    pieces: list[memoryview] = []
    while position < end:
        position += 2 + len(str(index))  # the element's type, its key in digits, a zero byte
        length = bson_bytes.document_length(array, position, end)
        pieces.append(array[position : position + length])
        position += length
        index += 1
    return b"".join(pieces)


def count_in_array(*, array_length: int, documents_length: int) -> int:
    """How many documents an array of *array_length* bytes holds whose documents take *documents_length* of them.

    The rest is five bytes for the array itself and, for each document, its type, its key in digits and a zero byte; so
    the count follows without looking at them one by one. Raises MalformedBson when no count fits.
    """
    rest = array_length - documents_length - 5
    count = 0
    digits = 1
    of_this_length = 10  # "0" to "9"
    while rest > 0:
        here = min(of_this_length, rest // (2 + digits))
        rest -= here * (2 + digits)
        count += here
        if here < of_this_length:
            break
        of_this_length = 90 if digits == 1 else of_this_length * 10
        digits += 1
    if rest != 0:
        raise bson_bytes.MalformedBson("the batch's array has keys that don't count up from 0")
    return count


def each_document(documents: bytes) -> t.Iterator[bytes]:
    """The documents that lie one after the other in *documents*. Raises MalformedBson."""
    position = 0
    while position < len(documents):
        length = bson_bytes.document_length(documents, position, len(documents))
        yield documents[position : position + length]
        position += length
