# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files of now continue what was captured, and what is noted of the new ones.

Increments are numbered without holes, but a number proves nothing: appendonly may have been switched off and on in
between, or a replica may have got all its data anew. Two increments are joined where one manifest named both, or where
the server is the same process, was a primary all the time, and nobody ran CONFIG SET since the earlier one was last
looked at.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from .aof_log_files import OpenFile, OpenFiles, other_history
from .aof_log_notes import ChainNotes, FileNote
from .aof_log_piece import BASE, INCREMENT, Piece
from .facts import ServerFacts

_LONGEST_RUN_ID = 12


@dataclass(frozen=True)
class Continuation:
    """What became of the lineage: *broken* says what can't be joined, *over* why it ended; both may be empty."""

    broken: str = ""
    over: str = ""


def begin(facts: ServerFacts, *, second: int, after: ChainNotes | None) -> ChainNotes:
    """The notes of a new lineage; its number is the second in which it began, and later than any before."""
    chain = second if after is None else max(second, after.chain + 1)
    return ChainNotes(chain=chain, lineage=f"{facts.run_id[:_LONGEST_RUN_ID].lower() or 'aof'}-{chain}")


def catch_up(notes: ChainNotes, pieces: t.Iterable[Piece]) -> None:
    """Learn from pieces that are in the spool or stored what a death kept out of the notes."""
    for piece in sorted(pieces, key=lambda piece: piece.name):
        name = piece.name
        note = notes.find(name.type, name.increment)
        if name.chain != notes.chain or note is None or name.end < note.captured:
            continue
        if name.end > note.captured:
            note.captured, note.tail, note.closing = name.end, piece.tail, piece.closing
            if piece.is_base:
                note.size, note.created, note.holds, note.rdb = piece.size, piece.created, piece.holds, piece.rdb
        if piece.covered is not None:
            notes.covered = max(piece.covered, notes.covered or 0)


def advance(
    notes: ChainNotes, now: OpenFiles, facts: ServerFacts, *, config_sets: int, replication_id: str
) -> Continuation:
    """Note the files of now; which server they were seen on is left to the caller. Raises ``OSError``."""
    over = other_history(notes, now) if notes.files else ""
    if over:
        return Continuation(over=over)
    last = notes.last_increment
    broken = ""
    for file in now.files:
        note = notes.find(file.type, file.increment)
        if note is not None:
            _identify(note, file)
            continue
        note = FileNote(type=file.type, increment=file.increment, file=file.name)
        _identify(note, file)
        if last:
            note.broken = _why_not_joined(
                notes, file, now, facts, last=last, config_sets=config_sets, replication_id=replication_id
            )
            note.follows = not note.broken
            broken = broken or note.broken
        notes.files[note.key] = note
    present = {(file.type, file.increment) for file in now.files}
    for note in notes.files.values():
        note.gone = (note.type, note.increment) not in present
        note.ended = note.ended or note.increment < (now.first_increment if note.type == BASE else now.last_increment)
    return Continuation(broken=broken)


def _identify(note: FileNote, file: OpenFile) -> None:
    status = os.fstat(file.descriptor)
    note.device, note.inode = status.st_dev, status.st_ino


def _why_not_joined(
    notes: ChainNotes,
    file: OpenFile,
    now: OpenFiles,
    facts: ServerFacts,
    *,
    last: int,
    config_sets: int,
    replication_id: str,
) -> str:
    before = file.increment - 1
    beside = notes.find(INCREMENT, file.increment)
    if file.type == BASE and beside is not None:
        return beside.broken  # it is the same moment
    if any(one.type == INCREMENT and one.increment == before for one in now.files):
        return ""  # the manifest itself has one follow the other
    if before > last:
        return (
            f"increments {last + 1} to {before} were rewritten and deleted before they were captured: "
            "rewrites are more frequent than captures"
        )
    doubts = (
        (notes.find(INCREMENT, before) is None, f"increment {before} is not known"),
        (facts.run_id != notes.run_id, f"the server was restarted between increment {before} and the rewrite"),
        (
            facts.role != "primary" or replication_id != notes.replication_id,
            f"{file.name} was begun by a replica, which may have got all its data anew",
        ),
        (
            notes.config_sets is None or config_sets != notes.config_sets,
            f"CONFIG SET was run before {file.name} was begun: appendonly may have been off for a while",
        ),
    )
    return next((why for is_so, why in doubts if is_so), "")
