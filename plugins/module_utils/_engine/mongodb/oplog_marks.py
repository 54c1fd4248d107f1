# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells an entry of the oplog from all others, and from the server's own notes. Pure."""

from __future__ import annotations

import hashlib

from . import bson_bytes
from .oplog_entry import OplogEntry
from .oplog_slice import EntryMark

_NO_TERM = -1
_PERIODIC = "periodic noop"


def mark_of(raw: bytes) -> EntryMark:
    """The mark of an entry's bytes. Raises MalformedBson."""
    element = bson_bytes.find(raw, b"ts")
    if element is None:
        raise bson_bytes.MalformedBson("an oplog entry has no ts")
    return EntryMark(
        position=bson_bytes.timestamp(raw, element), term=term_of(raw), sha256=hashlib.sha256(raw).hexdigest()
    )


def term_of(raw: bytes) -> int:
    """The term in which an entry was written; -1 where it has none. Raises MalformedBson."""
    element = bson_bytes.find(raw, b"t")
    return _NO_TERM if element is None else bson_bytes.int64(raw, element)


def is_periodic(entry: OplogEntry) -> bool:
    """Whether it is what an idle primary writes every ten seconds; a recovery label is another kind of note."""
    if entry.kind != "n":
        return False
    message = entry.body_field(b"msg")
    return (
        message is not None and message.type == bson_bytes.STRING and bson_bytes.text(entry.raw, message) == _PERIODIC
    )
