# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What WAL-G 3.0.9 printed, as it printed it, and what is made of it."""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import WalgAnswerUnreadable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_records import (
    FullPolicy,
    WalgSentinel,
    parse_archive,
    parse_backups,
    parse_damage,
    parse_sentinel,
    parse_timelines,
    parse_warnings,
    why_full,
)

FULL = "base_000000010000000000000002"
DELTA = "base_000000010000000000000004_D_000000010000000000000002"
# Recorded from the genuine program against PostgreSQL 15.18.
LIST = """[{"backup_name":"base_000000010000000000000004_D_000000010000000000000002",
"time":"2026-11-21T20:30:21.503640211Z","wal_file_name":"000000010000000000000004","storage_name":"default",
"start_time":"2026-11-21T20:30:20.352044Z","finish_time":"2026-11-21T20:30:21.506213Z",
"date_fmt":"%Y-%m-%dT%H:%M:%S.%fZ","hostname":"vm","data_dir":"/var/lib/postgresql/15/main","pg_version":150018,
"start_lsn":67108904,"finish_lsn":67109120,"is_permanent":false,"system_identifier":7710724796047330815,
"uncompressed_size":231423,"compressed_size":35781,"user_data":{"lifeboat":"x2"}},
{"backup_name":"base_000000010000000000000002","time":"2026-11-21T20:30:20.101345643Z",
"wal_file_name":"000000010000000000000002","storage_name":"default","start_time":"2026-11-21T20:30:18.730612Z",
"finish_time":"2026-11-21T20:30:20.100223Z","date_fmt":"%Y-%m-%dT%H:%M:%S.%fZ","hostname":"vm",
"data_dir":"/var/lib/postgresql/15/main","pg_version":150018,"start_lsn":33554472,"finish_lsn":33554688,
"is_permanent":false,"system_identifier":7710724796047330815,"uncompressed_size":23256650,"compressed_size":4338956,
"user_data":{"lifeboat":"x1"}}]
"""
SENTINEL = """{"LSN":67108904,"DeltaLSN":33554472,"DeltaFrom":"base_000000010000000000000002",
"DeltaFullName":"base_000000010000000000000002","DeltaCount":1,"PgVersion":150018,"FinishLSN":67109120,
"SystemIdentifier":7710724796047330815,"UncompressedSize":231423,"CompressedSize":35781,"DataCatalogSize":23521683,
"UserData":{"lifeboat":"x2"},"ChkpNum":null,"Version":2,"StartTime":"2026-11-21T20:30:20.352044Z",
"FinishTime":"2026-11-21T20:30:21.506213Z","DateFmt":"%Y-%m-%dT%H:%M:%S.%fZ","Hostname":"vm",
"DataDir":"/var/lib/postgresql/15/main","IsPermanent":false}"""
TIMELINE = '"timeline":{"status":"OK","details":{"current_timeline_id":1,"highest_storage_timeline_id":1}}}'
VERIFIED = (
    '{"integrity":{"status":"OK","details":[{"timeline_id":1,"start_segment":"000000010000000000000002",'
    '"end_segment":"000000010000000000000003","segments_count":2,"status":"FOUND"}]},' + TIMELINE
)
UPLOADING = (
    '{"integrity":{"status":"WARNING","details":[{"timeline_id":1,"start_segment":"000000010000000000000003",'
    '"end_segment":"000000010000000000000004","segments_count":2,"status":"MISSING_UPLOADING"}]},' + TIMELINE
)
LOST = (
    '{"integrity":{"status":"FAILURE","details":[{"timeline_id":1,"start_segment":"000000010000000000000002",'
    '"end_segment":"000000010000000000000004","segments_count":3,"status":"FOUND"},{"timeline_id":1,'
    '"start_segment":"000000010000000000000005","end_segment":"000000010000000000000005","segments_count":1,'
    '"status":"MISSING_LOST"},{"timeline_id":1,"start_segment":"000000010000000000000006",'
    '"end_segment":"000000010000000000000008","segments_count":3,"status":"FOUND"}]},' + TIMELINE
)
# Right behind a backup on a quiet server nothing was looked at, and that is called OK.
NOTHING_LOOKED_AT = '{"integrity":{"status":"OK","details":null},' + TIMELINE
SHOWN = (
    '[{"id":1,"parent_id":0,"switch_point_lsn":0,"start_segment":"000000010000000000000001",'
    '"end_segment":"00000001000000000000000A","segments_count":9,"missing_segments":["000000010000000000000005"],'
    '"segment_range_size":10,"status":"LOST_SEGMENTS"}]'
)
SAID = """INFO: 2026/11/21 20:30:18.730796 Couldn't find previous backup. Doing full backup.
WARNING: 2026/11/21 20:30:21.755155 Could not parse the timeline Id from x.backup.lz4. Skipping...
WARNING: 2026/11/21 20:30:21.755169 Could not parse the timeline Id from x.backup.lz4. Skipping...
ERROR: 2026/11/21 20:30:22.958131 Archive '000000010000000000000005' does not exist.
"""
NOW = datetime.datetime(2026, 11, 22, 3, 0, tzinfo=datetime.timezone.utc)
POLICY = FullPolicy(max_steps=2, max_age=datetime.timedelta(days=7), full_after_timeline_change=True)


def test_the_list_has_the_oldest_first_and_positions_as_postgresql_writes_them() -> None:
    full, delta = parse_backups(LIST)
    assert (full.name, delta.name) == (FULL, DELTA)
    assert (full.start_lsn, full.finish_lsn) == ("0/2000028", "0/2000100")
    assert (delta.start_lsn, delta.timeline, delta.backup_id) == ("0/4000028", 1, "x2")
    assert full.system_identifier == "7710724796047330815"
    assert full.finished.isoformat() == "2026-11-21T20:30:20.100223+00:00"
    assert parse_backups("[]\n") == ()


def test_a_backup_of_somebody_else_has_no_id() -> None:
    rows = json.loads(LIST)
    for user_data in (None, "text", {"other": 1}):
        rows[0]["user_data"] = user_data
        assert {one.backup_id for one in parse_backups(json.dumps(rows))} == {None, "x1"}


@pytest.mark.parametrize("text", ["", "No backups found", "{}", '[{"backup_name": "x"}]', "[1]"])
def test_a_list_that_can_t_be_read_is_an_error_and_no_empty_list(text: str) -> None:
    with pytest.raises(WalgAnswerUnreadable):
        parse_backups(text)


def test_ancestry() -> None:
    assert parse_sentinel(SENTINEL) == WalgSentinel(delta_from=FULL, delta_full=FULL, delta_count=1)
    assert parse_sentinel('{"LSN": 33554472, "PgVersion": 150018}') == WalgSentinel(None, None, 0)
    with pytest.raises(WalgAnswerUnreadable):
        parse_sentinel("{}")


def test_damaged_pages_are_named() -> None:
    whole = {"IsIncremented": False, "IsSkipped": True, "MTime": "2026-11-21T20:30:18.092658749Z", "UpdatesCount": 0}
    bad = {**whole, "CorruptBlocks": {"CorruptBlocksCount": 2, "SomeCorruptBlocks": [1, 7]}}
    assert parse_damage(json.dumps({"Files": {"/base/4/3575": whole}})) == ()
    assert parse_damage(json.dumps({"Files": {"/base/4/1": whole, "/base/5/2": bad}})) == ("/base/5/2 (2 pages)",)
    with pytest.raises(WalgAnswerUnreadable):
        parse_damage('{"Files": {}}')  # metadata that were not kept say nothing about pages


def test_a_hole_is_told_from_what_is_on_its_way() -> None:
    assert parse_archive(VERIFIED).is_whole
    late, lost = parse_archive(UPLOADING), parse_archive(LOST)
    assert (late.is_whole, late.may_become_whole) == (False, True)
    assert (lost.is_whole, lost.may_become_whole) == (False, False)
    assert lost.words == "000000010000000000000005 is MISSING_LOST"
    assert late.words == "000000010000000000000003 to 000000010000000000000004 are MISSING_UPLOADING"


def test_a_higher_timeline_in_the_storage_is_no_wholeness() -> None:
    found = json.loads(VERIFIED)
    found["timeline"] = {
        "status": "FAILURE",
        "details": {"current_timeline_id": 1, "highest_storage_timeline_id": 2},
    }
    state = parse_archive(json.dumps(found))
    assert (state.is_whole, state.may_become_whole) == (False, False)
    assert state.words == "the server is on timeline 1, the archive on 2"


@pytest.mark.parametrize("text", ["", "[]", "{}", VERIFIED.replace('"OK"', '"FINE"')])
def test_a_state_that_is_unknown_is_an_error(text: str) -> None:
    with pytest.raises(WalgAnswerUnreadable):
        parse_archive(text)


def test_nothing_looked_at_is_completed_by_what_the_storage_has() -> None:
    assert parse_archive(NOTHING_LOOKED_AT).is_whole
    (timeline,) = parse_timelines(SHOWN)
    assert timeline.has("000000010000000000000001")
    assert timeline.has("00000001000000000000000A")
    assert not timeline.has("000000010000000000000005")
    assert not timeline.has("00000001000000000000000B")
    assert not timeline.has("000000020000000000000002")
    assert parse_timelines("") == parse_timelines("null") == parse_timelines("[]") == ()


def test_warnings_without_their_time_and_each_once() -> None:
    assert parse_warnings(SAID) == (
        "Could not parse the timeline Id from x.backup.lz4. Skipping...",
        "Archive '000000010000000000000005' does not exist.",
    )


def reason(sentinel: WalgSentinel | None, **changes: t.Any) -> str | None:
    given: dict[str, t.Any] = {
        "backups": parse_backups(LIST),
        "newest_sentinel": sentinel,
        "newest_damaged": False,
        "timeline": 1,
        "now": NOW,
        **changes,
    }
    return why_full(given.pop("policy", POLICY), **given)


def test_when_a_full_backup_is_due() -> None:
    first_step = parse_sentinel(SENTINEL)
    assert reason(first_step) is None
    assert reason(first_step, backups=()) == "it is the first one"
    assert reason(first_step, policy=dataclasses.replace(POLICY, max_steps=0)) == "max_steps is 0"
    assert "last of 1 steps" in str(reason(first_step, policy=dataclasses.replace(POLICY, max_steps=1)))
    assert "on timeline 2" in str(reason(first_step, timeline=2))
    heedless = dataclasses.replace(POLICY, full_after_timeline_change=False)
    assert reason(first_step, timeline=2, policy=heedless) is None
    assert "damaged" in str(reason(first_step, newest_damaged=True))
    assert "is gone" in str(reason(dataclasses.replace(first_step, delta_full="base_x")))
    assert "does not say" in str(reason(None))


def test_age_is_that_of_the_full_one() -> None:
    # The delta is younger by a second; the full one decides, to the microsecond.
    full, delta = parse_backups(LIST)
    assert delta.finished > full.finished
    step = parse_sentinel(SENTINEL)
    assert reason(step, now=full.finished + POLICY.max_age - datetime.timedelta(microseconds=1)) is None
    assert "older than max_age" in str(reason(step, now=full.finished + POLICY.max_age))
