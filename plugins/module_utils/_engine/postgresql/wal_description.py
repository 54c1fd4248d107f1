# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a file of the WAL archive before it is stored: read from its own bytes, never from its name alone.

A zeroed segment ends a recovery silently (measured: PostgreSQL takes it for the end of the WAL and promotes), so no
file is described that is not wholly what its name says.
"""

from __future__ import annotations

import datetime
import os
import re
import typing as t

from ..core.clock import format_time
from ..core.errors import StreamSegmentRefused
from ..streams.segment import SegmentDescription
from ..streams.spool import SpoolEntry
from .timeline_history import parse_history
from .wal_names import BACKUP, HISTORY, PARTIAL, WalName, format_lsn, parse_wal_name
from .wal_page import LONG_HEADER_SIZE, SegmentHeader, WalDamaged, check_header, filled_bytes, segment_header
from .wal_records import SegmentRecords

#: Pages in which commits are looked for from either end: half a MiB; from the end of the newest one, 2 MiB.
_FEW_PAGES, _MANY_PAGES = 64, 256
_LARGEST_NOTE = 1024 * 1024
_MEDIA: t.Mapping[str, str] = {
    PARTIAL: "unfinished WAL segment of a timeline that was left",
    BACKUP: "note of a base backup",
    HISTORY: "history of a timeline",
}
_NOTE_LINE = re.compile(r"(?P<key>START WAL LOCATION|STOP WAL LOCATION|START TIME|STOP TIME|LABEL): (?P<value>.*)")
_LOCATION = re.compile(r"(?P<lsn>[0-9A-F]+/[0-9A-F]+) \(file (?P<file>[0-9A-F]{24})\)")


def describe_wal(
    entry: SpoolEntry,
    *,
    lineage: str | None,
    before: datetime.datetime | None,
    thorough: bool,
) -> tuple[str, SegmentDescription]:
    """The lineage (system identifier) and the description of one file in the spool.

    *lineage* is the cluster whose WAL the spool takes: files without an identifier of their own belong to it, and a
    segment of another one is refused. *before* is the end of what came before it, for *begins*. With *thorough* more
    of the segment is searched for commits.

    Facts of a segment: ``timeline``, ``first_lsn``, ``last_lsn`` (the position behind its last byte),
    ``segment_size``, ``filled_bytes`` (less than the size where the server switched early), ``magic``,
    ``server_major`` (None: not known), ``first_commit``, ``last_commit`` and ``last_end`` (of a commit or an abort) as
    texts or None, and ``commits_complete``: False when None means that nobody looked everywhere. *ends* is when the
    file was written last. Facts of a history: ``timeline``, ``history`` (see ``timeline_history``). Facts of a backup's
    note: ``timeline``, ``start_lsn``, ``stop_lsn``, ``label`` and its times as written.

    Raises StreamSegmentRefused for anything that is not wholly what its name says.
    """
    name = parse_wal_name(entry.name)
    if name is None:
        raise _refused(entry, "it has no name of a file in a WAL archive")
    try:
        if name.what in (HISTORY, BACKUP):
            found, facts = lineage, _note_facts(entry, name)
        else:
            found, facts = _segment_facts(entry, name, lineage=lineage, thorough=thorough)
    except WalDamaged as error:
        raise _refused(entry, str(error)) from error
    except FileNotFoundError as error:
        raise _refused(entry, "it was taken away meanwhile") from error
    except OSError as error:
        raise _refused(entry, f"it can't be read: {error.strerror}") from error
    if found is None:
        raise _refused(entry, "nobody knows of which cluster it is, and neither server nor spool can tell")
    begins = before if before is not None and before <= entry.modified else None
    return found, SegmentDescription(
        name=name.name,
        group=name.group,
        media=_MEDIA.get(name.what, "WAL segment"),
        begins=begins,
        ends=entry.modified,
        facts=facts,
    )


def read_segment_header(path: str) -> SegmentHeader | None:
    """The beginning of the segment at *path*; None when it is none or can't be read."""
    try:
        with open(path, "rb") as file:
            return segment_header(file.read(LONG_HEADER_SIZE))
    except (OSError, WalDamaged):
        return None


def commits_behind(path: str, offset: int) -> datetime.datetime | None:
    """The first commit that begins on a page at *offset* (bytes) of the segment at *path* or behind it; None: none.

    Raises WalDamaged.
    """
    with open(path, "rb") as file:
        header = segment_header(file.read(LONG_HEADER_SIZE))
        records = SegmentRecords(file, header=header, filled=filled_bytes(file, header))
        return records.first_commit_behind(offset)


def _segment_facts(
    entry: SpoolEntry, name: WalName, *, lineage: str | None, thorough: bool
) -> tuple[str, dict[str, t.Any]]:
    with open(entry.path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = segment_header(file.read(LONG_HEADER_SIZE))
        if lineage is not None and header.system_identifier != lineage:
            raise WalDamaged(f"it is of the cluster {header.system_identifier}, and this stream is of {lineage}")
        check_header(header, name=name, size=size)
        facts: dict[str, t.Any] = {
            "timeline": name.timeline,
            "first_lsn": format_lsn(header.position),
            "last_lsn": format_lsn(header.position + header.segment_size),
            "segment_size": header.segment_size,
            "magic": f"{header.magic:04X}",
            "server_major": header.major,
        }
        if name.what != PARTIAL:  # behind the end of an unfinished one lies whatever the file held before
            filled = filled_bytes(file, header)
            records = SegmentRecords(file, header=header, filled=filled)
            if filled < size and not records.ends_with_switch():
                raise WalDamaged(f"from its byte {filled} on there are zeros, and no switch to the next segment before")
            ends = records.transaction_ends(first_pages=_FEW_PAGES, last_pages=_MANY_PAGES if thorough else _FEW_PAGES)
            facts.update(
                filled_bytes=filled,
                first_commit=_text(ends.first_commit),
                last_commit=_text(ends.last_commit),
                last_end=_text(ends.last_end),
                commits_complete=ends.complete,
            )
    return header.system_identifier, facts


def _note_facts(entry: SpoolEntry, name: WalName) -> dict[str, t.Any]:
    with open(entry.path, "rb") as file:
        data = file.read(_LARGEST_NOTE + 1)
    if len(data) > _LARGEST_NOTE:
        raise WalDamaged(f"it has more than {_LARGEST_NOTE} bytes")
    if name.what == HISTORY:
        try:
            history = parse_history(data, timeline=name.timeline)
        except ValueError as error:
            raise WalDamaged(str(error)) from error
        return {"timeline": name.timeline, "history": history.as_facts()}
    matches = (_NOTE_LINE.fullmatch(line) for line in data.decode("utf-8", "replace").splitlines())
    lines = {match["key"]: match["value"] for match in matches if match}
    start = _LOCATION.fullmatch(lines.get("START WAL LOCATION", ""))
    stop = _LOCATION.fullmatch(lines.get("STOP WAL LOCATION", ""))
    if start is None or stop is None or start["file"] != name.segment_name:
        raise WalDamaged("it is not the note of a base backup that began in the segment of its name")
    return {
        "timeline": name.timeline,
        "start_lsn": start["lsn"],
        "stop_lsn": stop["lsn"],
        "label": lines.get("LABEL", ""),
        "start_time": lines.get("START TIME", ""),
        "stop_time": lines.get("STOP TIME", ""),
    }


def _text(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _refused(entry: SpoolEntry, reason: str) -> StreamSegmentRefused:
    return StreamSegmentRefused(
        f"{entry.path} is not stored: {reason}.",
        hint=f"Look at it: ls -l {entry.path}; pg_waldump {entry.path} | tail. If pg_wal still has a good one, move "
        "this one out of the spool, and the next `lifeboat ship` fetches it from there.",
        details={"path": entry.path, "segment": entry.name, "reason": reason},
    )
