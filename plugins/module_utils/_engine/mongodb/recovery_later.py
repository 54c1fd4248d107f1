# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is younger than the backup: collections that only the planned slices of the oplog make."""

from __future__ import annotations

import contextlib
import typing as t

from . import bson_bytes
from .namespace_map import NamespaceMap
from .oplog_entry import OplogEntry, read_entry
from .recovery_slices import SliceFeed
from .timestamps import position_from_text

if t.TYPE_CHECKING:
    from ..recovery.recovery_planner import SegmentReader

_SERVERS_OWN = ("", "admin", "config", "local")


def made_later(reader: SegmentReader, names: NamespaceMap, *, folder: str) -> frozenset[tuple[str, str]]:
    """Database and name, as on the source, of what the slices make before the target and *names* takes.

    All planned slices are fetched, one after the other into *folder*. What was dropped again later is among them.
    Raises RecoveryEndedEarly, and what fetching raises.
    """
    stop = position_from_text(str(reader.plan.facts["stop"]))
    found: set[tuple[str, str]] = set()
    with contextlib.closing(SliceFeed(reader, folder=folder).slices()) as slices:
        for _facts, pieces in slices:
            with contextlib.closing(pieces):
                for entries in pieces:
                    for raw in entries:
                        entry = read_entry(raw)
                        if entry.position() < stop:
                            found.update(made_by(entry))
    return frozenset(one for one in found if one[0] not in _SERVERS_OWN and names.takes(*one))


def made_by(entry: OplogEntry) -> t.Iterator[tuple[str, str]]:
    """Database and name of what is there after an entry; an insert counts, for collections are made by it."""
    if entry.kind == "i":
        full = entry.full_name
    elif entry.kind == "c" and entry.command == "applyOps":
        for operation in entry.operations():
            yield from made_by(operation)
        return
    elif entry.kind == "c" and entry.command == "create":
        full = f"{entry.database}.{_text(entry, b'create')}"
    elif entry.kind == "c" and entry.command == "renameCollection":
        full = _text(entry, b"to")
    else:
        return
    database, dot, name = full.partition(".")
    if dot and name and not name.startswith("system."):
        yield database, name


def _text(entry: OplogEntry, key: bytes) -> str:
    element = entry.body_field(key)
    return "" if element is None or element.type != bson_bytes.STRING else bson_bytes.text(entry.raw, element)
