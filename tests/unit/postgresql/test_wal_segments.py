# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from the bytes of a WAL segment: whose it is, whether it is whole, when its transactions ended."""

from __future__ import annotations

import datetime
import io
import pathlib
import struct
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StreamSegmentRefused
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_description import describe_wal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_page import (
    filled_bytes,
    segment_header,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_records import SegmentRecords
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import SpoolEntry
from tests.support.wal import ABORT, HEAP, IDENTIFIER, MEBIBYTE, PAGE, WalWriter, plain_segment

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
NAME = "000000010000000000000003"


def at(seconds: float) -> datetime.datetime:
    return NOON + datetime.timedelta(seconds=seconds)


def records_of(data: bytes) -> SegmentRecords:
    file = io.BytesIO(data)
    header = segment_header(data)
    return SegmentRecords(file, header=header, filled=filled_bytes(file, header))


def describe(
    tmp_path: pathlib.Path, data: bytes, *, name: str = NAME, lineage: str | None = IDENTIFIER, thorough: bool = True
) -> tuple[str, dict[str, t.Any]]:
    path = tmp_path / name
    path.write_bytes(data)
    entry = SpoolEntry(name=name, path=str(path), size=len(data), modified=NOON)
    lineage_found, found = describe_wal(entry, lineage=lineage, before=at(-60), thorough=thorough)
    assert found.name == name
    assert found.ends == NOON
    assert found.begins == at(-60)
    return lineage_found, dict(found.facts)


# --- ends of transactions ---------------------------------------------------------------------------------------------


def test_first_and_last_commit_are_found() -> None:
    writer = WalWriter()
    writer.rows(50)
    writer.commit(at(1))
    writer.rows(2000)
    writer.commit(at(2))
    writer.rows(2000)
    writer.commit(at(3))
    writer.rows(50)
    writer.commit(at(4), info=ABORT)
    writer.fill()
    ends = records_of(writer.segment()).transaction_ends()
    assert (ends.first_commit, ends.last_commit, ends.last_end) == (at(1), at(3), at(4))
    assert ends.complete


@pytest.mark.parametrize("shift", range(0, 48, 8))
def test_a_commit_across_the_border_of_two_pages_is_found(shift: int) -> None:
    writer = WalWriter()
    # A record of 24 + 2 + size bytes that ends so that the commit begins just before the page does.
    while PAGE - writer.position % PAGE > 250:
        writer.rows(1)
    gap = PAGE - writer.position % PAGE - 8 - shift
    writer.record(HEAP, 0, b"g" * (gap - 26))
    assert PAGE - writer.position % PAGE == 8 + shift
    writer.commit(at(1))
    writer.fill()
    assert records_of(writer.segment()).transaction_ends().last_commit == at(1)


def test_a_commit_that_goes_on_in_the_next_segment_is_not_counted_in_this_one() -> None:
    writer = WalWriter()
    while MEBIBYTE - writer.position % MEBIBYTE > 250:
        writer.rows(1)
    gap = MEBIBYTE - writer.position % MEBIBYTE - 8
    writer.record(HEAP, 0, b"g" * (gap - 26))
    assert MEBIBYTE - writer.position % MEBIBYTE == 8
    writer.commit(at(1))
    ends = records_of(writer.segment(0)).transaction_ends()
    assert (ends.last_commit, ends.complete) == (None, True)


def test_a_record_longer_than_pages_is_passed() -> None:
    writer = WalWriter()
    writer.commit(at(1))
    writer.record(HEAP, 0, b"l" * (5 * PAGE))
    writer.commit(at(2))
    writer.record(HEAP, 0, b"l" * (50 * PAGE))
    writer.fill()
    ends = records_of(writer.segment()).transaction_ends()
    assert (ends.first_commit, ends.last_commit) == (at(1), at(2))


@pytest.mark.parametrize(
    "between", [b"\xfd\x01\x00", b"\xfc\x01\x00\x00\x00", b"\xfd\x01\x00\xfc\x01\x00\x00\x00"], ids=repr
)
def test_an_origin_and_a_top_level_transaction_stand_before_the_time(between: bytes) -> None:
    writer = WalWriter()
    writer.commit(at(5), between=between)
    writer.fill()
    assert records_of(writer.segment()).transaction_ends().last_commit == at(5)


def test_commits_of_prepared_transactions_count() -> None:
    writer = WalWriter()
    writer.commit(at(5), info=0x30)
    writer.commit(at(6), info=0x40)
    writer.fill()
    ends = records_of(writer.segment()).transaction_ends()
    assert (ends.last_commit, ends.last_end) == (at(5), at(6))


def test_a_short_search_says_that_it_was_short() -> None:
    writer = WalWriter()
    while writer.position % MEBIBYTE < MEBIBYTE // 2:
        writer.rows(10)
    writer.commit(at(7))
    writer.fill()
    records = records_of(writer.segment())
    short, whole = records.transaction_ends(first_pages=10, last_pages=10), records.transaction_ends()
    assert (short.first_commit, short.last_commit, short.complete) == (None, None, False)
    assert (whole.first_commit, whole.last_commit, whole.complete) == (at(7), at(7), True)


# --- whole and what the name says -------------------------------------------------------------------------------------


def test_a_full_segment_is_described(tmp_path: pathlib.Path) -> None:
    writer = WalWriter()
    writer.commit(at(-3))
    lineage, facts = describe(tmp_path, writer.segment())
    assert lineage == IDENTIFIER
    assert facts == {
        "timeline": 1,
        "first_lsn": "0/300000",
        "last_lsn": "0/400000",
        "segment_size": MEBIBYTE,
        "magic": "D110",
        "server_major": 15,
        "filled_bytes": MEBIBYTE,
        "first_commit": "2026-11-21T11:59:57Z",
        "last_commit": "2026-11-21T11:59:57Z",
        "last_end": "2026-11-21T11:59:57Z",
        "commits_complete": True,
    }


def test_a_segment_that_was_switched_early_is_whole(tmp_path: pathlib.Path) -> None:
    writer = WalWriter()
    writer.commit(at(-3))
    writer.rows(100)
    writer.switch()
    _lineage, facts = describe(tmp_path, writer.segment())
    assert facts["filled_bytes"] == 2 * PAGE
    assert facts["last_commit"] == "2026-11-21T11:59:57Z"


@pytest.mark.parametrize("rows", range(55, 62))
def test_a_switch_anywhere_near_the_end_of_a_page_is_seen(tmp_path: pathlib.Path, rows: int) -> None:
    writer = WalWriter()
    writer.rows(rows)
    writer.switch()
    describe(tmp_path, writer.segment())


def test_the_first_segment_of_a_timeline_begins_with_pages_of_the_one_before(tmp_path: pathlib.Path) -> None:
    data = bytearray(plain_segment("000000030000000000000003"))
    for page in range(5):
        struct.pack_into("=I", data, page * PAGE + 4, 2)
    _lineage, facts = describe(tmp_path, bytes(data), name="000000030000000000000003")
    assert facts["timeline"] == 3


def test_an_unfinished_one_may_end_in_anything(tmp_path: pathlib.Path) -> None:
    data = plain_segment(NAME)[: MEBIBYTE // 2] + plain_segment("000000010000000000000001")[MEBIBYTE // 2 :]
    lineage, facts = describe(tmp_path, data, name=f"{NAME}.partial")
    assert (lineage, facts["first_lsn"]) == (IDENTIFIER, "0/300000")
    assert "last_commit" not in facts


def test_an_unknown_magic_number_is_taken_without_a_version(tmp_path: pathlib.Path) -> None:
    _lineage, facts = describe(tmp_path, WalWriter(magic=0xD1F0).segment())
    assert (facts["magic"], facts["server_major"]) == ("D1F0", None)


def test_without_any_word_on_the_lineage_the_segment_itself_tells(tmp_path: pathlib.Path) -> None:
    lineage, _facts = describe(tmp_path, plain_segment(NAME, identifier="42"), lineage=None)
    assert lineage == "42"


def _damaged() -> dict[str, tuple[bytes, str]]:
    good = plain_segment(NAME)
    switched = WalWriter()
    switched.rows(3000)
    switched.switch()
    zeroed_end = bytearray(good)
    zeroed_end[MEBIBYTE // 2 :] = bytes(MEBIBYTE // 2)
    zeroed_page = bytearray(good)
    zeroed_page[5 * PAGE : 6 * PAGE] = bytes(PAGE)
    foreign_page = bytearray(good)
    struct.pack_into("=Q", foreign_page, 9 * PAGE + 8, 0x100000)
    rest = bytearray(switched.segment())
    rest[-1] = 1
    return {
        "zeroed": (bytes(MEBIBYTE), "begins with zeros"),
        "empty": (b"", "it has 0 bytes"),
        "cut in the header": (good[:39], "it has 39 bytes"),
        "truncated": (good[: MEBIBYTE // 2], "it has 524288 bytes, and its header says 1048576"),
        "truncated by one": (good[:-1], "it has 1048575 bytes"),
        "too long": (good + b"\0", "it has 1048577 bytes"),
        "no WAL": (b"x" * MEBIBYTE, "does not begin like a segment"),
        "zeroed from the middle": (bytes(zeroed_end), "from its byte 524288 on there are zeros, and no switch"),
        "a zeroed page": (bytes(zeroed_page), "from its byte 40960 on it is not the WAL of this place"),
        "a page of another place": (bytes(foreign_page), "from its byte 73728 on"),
        "something behind the switch": (bytes(rest), "is not the WAL of this place"),
        "another segment": (plain_segment("000000010000000000000004"), "its header is that of position 4194304"),
        "a later timeline": (plain_segment("000000020000000000000003"), "its header is of timeline 2"),
        "a foreign cluster": (plain_segment(NAME, identifier="42"), "it is of the cluster 42, and this stream is of"),
    }


@pytest.mark.parametrize("what", sorted(_damaged()))
def test_what_is_not_wholly_what_its_name_says_is_refused(tmp_path: pathlib.Path, what: str) -> None:
    data, reason = _damaged()[what]
    with pytest.raises(StreamSegmentRefused) as refused:
        describe(tmp_path, data)
    assert reason in refused.value.message
    assert refused.value.details["segment"] == NAME
    assert "pg_waldump" in refused.value.hint


@pytest.mark.parametrize("name", ["notes.txt", "00000001.history", "000000010000000000000003.tmp"])
def test_what_has_no_name_of_an_archive_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(StreamSegmentRefused, match="no name of a file in a WAL archive"):
        describe(tmp_path, plain_segment(NAME), name=name)


def test_a_name_that_the_segment_size_does_not_have_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StreamSegmentRefused, match="is no name with segments of 1048576 bytes"):
        describe(tmp_path, plain_segment(NAME), name="000000010000000000001003")


# --- notes ------------------------------------------------------------------------------------------------------------


def test_a_history_is_described(tmp_path: pathlib.Path) -> None:
    text = b"1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tbefore 2026-11-21\n"
    lineage, facts = describe(tmp_path, text, name="00000003.history")
    assert lineage == IDENTIFIER
    assert facts == {"timeline": 3, "history": [[1, "0/3000148"], [2, "0/5000000"]]}


@pytest.mark.parametrize("text", [b"", b"2\t0/3000148\tx\n3\t0/1\ty\n", b"not a history\n", b"\0" * 100])
def test_what_is_no_history_is_refused(tmp_path: pathlib.Path, text: bytes) -> None:
    with pytest.raises(StreamSegmentRefused):
        describe(tmp_path, text, name="00000003.history")


BACKUP_NOTE = b"""START WAL LOCATION: 0/300028 (file 000000010000000000000003)
STOP WAL LOCATION: 0/400100 (file 000000010000000000000004)
CHECKPOINT LOCATION: 0/300060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-21 11:58:00 UTC
LABEL: lifeboat 20261121T020000Z-4f2c91
START TIMELINE: 1
STOP TIME: 2026-11-21 11:59:00 UTC
STOP TIMELINE: 1
"""


def test_the_note_of_a_base_backup_is_described(tmp_path: pathlib.Path) -> None:
    _lineage, facts = describe(tmp_path, BACKUP_NOTE, name=f"{NAME}.00000028.backup")
    assert facts == {
        "timeline": 1,
        "start_lsn": "0/300028",
        "stop_lsn": "0/400100",
        "label": "lifeboat 20261121T020000Z-4f2c91",
        "start_time": "2026-11-21 11:58:00 UTC",
        "stop_time": "2026-11-21 11:59:00 UTC",
    }


def test_the_note_of_another_segment_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StreamSegmentRefused, match="began in the segment of its name"):
        describe(tmp_path, BACKUP_NOTE, name="000000010000000000000004.00000028.backup")


def test_a_note_of_nobody_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StreamSegmentRefused, match="nobody knows of which cluster it is"):
        describe(tmp_path, BACKUP_NOTE, name=f"{NAME}.00000028.backup", lineage=None)
