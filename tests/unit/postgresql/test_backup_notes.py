# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions come from what pg_basebackup of versions 15 and 18 really prints."""

from __future__ import annotations

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.backup_notes import BackupNotes
from tests.unit.postgresql import captured


def notes_of(text: str) -> BackupNotes:
    notes = BackupNotes()
    for line in text.splitlines():
        notes(line)
    return notes


def test_version_15() -> None:
    notes = notes_of(captured.BASE_BACKUP_15)
    assert (notes.start_lsn, notes.end_lsn, notes.timeline) == ("0/3000028", "0/3000100", 1)
    assert notes.finished


def test_version_18() -> None:
    notes = notes_of(captured.BASE_BACKUP_18)
    assert (notes.start_lsn, notes.end_lsn, notes.timeline) == ("1A/60000F8", "1A/7000120", 12)
    assert notes.finished


def test_a_damaged_page_is_kept_even_when_the_positions_are_there() -> None:
    for text in (captured.DAMAGED_15, captured.DAMAGED_18):
        notes = notes_of(text)
        assert notes.damaged_pages == ["./base/5/16418 block 3"]
        assert not notes.finished


def test_a_backup_that_was_cut_off_has_no_end() -> None:
    notes = notes_of(captured.WORKING["terminated"])
    assert notes.start_lsn == "0/60000F8"
    assert notes.end_lsn is None
    assert not notes.finished


def test_warnings_are_kept_and_memory_stays_small() -> None:
    notes = BackupNotes()
    for number in range(10000):
        notes(f"WARNING:  could not do number {number}")
    assert notes.warnings[0] == "could not do number 0"
    assert len(notes.warnings) == 100
    assert len(notes.lines) == 200
