# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL as a stream, as far as it needs no server: order, continuity, health in words."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    PostgresSpoolSettingsInvalid,
    RequestInvalid,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.context import (
    StreamContext,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.registry import (
    STREAM_KINDS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.connection import PostgresConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    SpoolSettings,
    archive_command,
    is_archive_command,
    read_spool_settings,
    write_spool_settings,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_health import (
    ReadyFile,
    health_warnings,
    lag_of,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import wal_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_source import (
    WalStreamOptions,
    WalStreamSource,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool, SpoolEntry
from tests.support.wal import IDENTIFIER, MEBIBYTE, WalWriter, plain_segment
from tests.unit.postgresql.wal_states import HEALTHY, MINUTE, NOON, SPOOL


def source(spool: pathlib.Path) -> WalStreamSource:
    return WalStreamSource(
        # Nobody listens on port 1.
        connection=PostgresConnection.from_description({"host": "127.0.0.1", "port": 1, "connect_timeout": 2}),
        options=WalStreamOptions(),
        spool=Spool(path=str(spool), budget=64 * MEBIBYTE),
        runner=SubprocessRunner(),
        clock=SystemClock(),
        journal=MemoryJournal(),
    )


def segment(name: str, **facts: t.Any) -> Segment:
    parsed = wal_name(name)
    if parsed.what in ("segment", "partial"):
        facts = {"segment_size": 16 * MEBIBYTE, **facts}
    payload: StoredPayload = t.cast("t.Any", None)  # nobody asks for it here
    return Segment(SegmentDescription(name, parsed.group, "WAL", None, NOON, facts), payload, "00", NOON)


# --- order and continuity ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "follows"),
    [
        ("000000010000000000000003", "000000010000000000000004", True),
        ("0000000100000000000000FF", "000000010000000100000000", True),
        ("000000010000000000000003", "000000010000000000000005", False),
        ("000000010000000000000003", "000000010000000000000003.00000028.backup", True),
        ("000000010000000000000003.00000028.backup", "000000010000000000000004", True),
        ("000000010000000000000003.00000028.backup", "000000010000000000000005", False),
        ("000000010000000000000005", "000000020000000000000005", True),
        ("000000010000000000000005", "000000020000000000000004", True),  # recovered to an earlier point
        ("000000010000000000000004", "000000020000000000000005", True),
        ("000000010000000000000003", "000000020000000000000005", False),
        ("000000020000000000000003", "000000010000000000000004", False),
        ("000000010000000000000005.partial", "000000020000000000000005", True),
    ],
)
def test_neighbours_follow_each_other_or_don_t(tmp_path: pathlib.Path, before: str, after: str, follows: bool) -> None:
    assert source(tmp_path).follows(segment(before), segment(after)) is follows


def test_a_history_joins_the_timelines(tmp_path: pathlib.Path) -> None:
    history = segment("00000002.history", history=[[1, "0/5000100"]])
    one = source(tmp_path)
    assert one.follows(segment("000000010000000000000005"), history)
    assert one.follows(history, segment("000000020000000000000005"))
    assert not one.follows(history, segment("000000020000000000000006"))
    assert not one.follows(segment("000000030000000000000005"), history)


def test_files_are_in_the_order_of_writing(tmp_path: pathlib.Path) -> None:
    written = [
        "0000000100000000000000FF",
        "000000010000000100000000",
        "000000010000000100000000.00000028.backup",
        "00000002.history",
        "000000020000000000000001",
        "a stranger",
    ]
    assert sorted(sorted(written), key=source(tmp_path).order) == written


# --- a server that does not answer ------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_no_error_and_the_spool_tells_the_lineage(tmp_path: pathlib.Path) -> None:
    (tmp_path / "000000010000000000000003").write_bytes(plain_segment("000000010000000000000003"))
    found = source(tmp_path).inspect()
    assert (found.reachable, found.lineage) == (False, IDENTIFIER)
    assert "127.0.0.1:1" in found.problem
    assert found.facts["oldest_unshipped"] == "000000010000000000000003"
    assert found.facts["spooled_bytes"] == MEBIBYTE


def test_the_settings_of_the_spool_tell_the_lineage_before_its_files(tmp_path: pathlib.Path) -> None:
    write_spool_settings(str(tmp_path), SpoolSettings(system_identifier="42", budget_mib=64))
    (tmp_path / "000000010000000000000003").write_bytes(plain_segment("000000010000000000000003"))
    assert source(tmp_path).inspect().lineage == "42"


def test_an_empty_spool_tells_nothing(tmp_path: pathlib.Path) -> None:
    assert source(tmp_path).inspect().lineage is None
    assert source(tmp_path / "not there").inspect().lineage is None


def test_each_segment_begins_where_the_one_before_ended(tmp_path: pathlib.Path) -> None:
    one = source(tmp_path)
    one.inspect()
    for number in (3, 4, 6):
        path = tmp_path / f"00000001000000000000000{number}"
        path.write_bytes(WalWriter(number=number).segment())
        os.utime(path, (NOON.timestamp() + number, NOON.timestamp() + number))
    spool = Spool(path=str(tmp_path), budget=64 * MEBIBYTE)
    described = [one.describe(entry)[1] for entry in spool.entries()]
    second = datetime.timedelta(seconds=1)
    assert [(found.begins, found.ends) for found in described] == [
        (None, NOON + 3 * second),
        (NOON + 3 * second, NOON + 4 * second),
        (None, NOON + 6 * second),
    ]


def test_only_the_newest_one_is_searched_further_for_commits(tmp_path: pathlib.Path) -> None:
    size = 4 * MEBIBYTE
    writer = WalWriter(number=3, segment_size=size)
    while writer.position % size < 3 * size // 4:
        writer.rows(10, size=4000)
    writer.commit(NOON)
    while writer.position % size > 8000:
        writer.rows(1, size=4000)
    one = source(tmp_path)
    (tmp_path / "000000010000000000000003").write_bytes(writer.segment())
    (entry,) = Spool(path=str(tmp_path), budget=1).entries()
    facts = one.describe(entry)[1].facts
    assert (facts["last_commit"], facts["commits_complete"]) == ("2026-11-21T12:00:00Z", False)
    (tmp_path / "000000010000000000000004").touch()
    facts = one.describe(entry)[1].facts
    assert (facts["last_commit"], facts["commits_complete"]) == (None, False)


# --- settings of a spool ----------------------------------------------------------------------------------------------


def test_settings_are_read_as_they_were_written(tmp_path: pathlib.Path) -> None:
    assert read_spool_settings(str(tmp_path)) is None
    settings = SpoolSettings(system_identifier=IDENTIFIER, budget_mib=8192)
    assert write_spool_settings(str(tmp_path), settings)
    assert not write_spool_settings(str(tmp_path), settings)
    assert read_spool_settings(str(tmp_path)) == settings
    assert [path.name for path in tmp_path.iterdir()] == [".settings"]


@pytest.mark.parametrize(
    "text", ["", "system_identifier=42\n", "budget_mib=5\n", "system_identifier=x\nbudget_mib=5\n"]
)
def test_settings_that_can_t_be_read_are_refused(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / ".settings").write_text(text)
    with pytest.raises(PostgresSpoolSettingsInvalid):
        read_spool_settings(str(tmp_path))


@pytest.mark.parametrize(("identifier", "budget"), [("", 1), ("0", 1), ("-1", 1), (str(2**64), 1), ("42", 0)])
def test_settings_that_can_t_be_are_not_written(identifier: str, budget: int) -> None:
    with pytest.raises(ValueError, match=r"system identifier|takes nothing"):
        SpoolSettings(system_identifier=identifier, budget_mib=budget)


@pytest.mark.parametrize("folder", [SPOOL, "/var/spool/my boat/x.wal", "/srv/100%/x.wal", "/srv/it's/x.wal"])
def test_our_own_command_is_known_again(folder: str) -> None:
    command = archive_command(script="/usr/local/lib/lifeboat/archive-wal", spool=folder)
    assert is_archive_command(command, spool=folder)
    assert not is_archive_command(command, spool="/var/spool/lifeboat/other.main.wal")


@pytest.mark.parametrize("command", ["", "/bin/true", "cp %p /archive/%f", f"cp %p {SPOOL}/%f"])
def test_another_command_is_none_of_ours(command: str) -> None:
    assert not is_archive_command(command, spool=SPOOL)


# --- health in words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"mode": "always"}, []),
        ({"mode": "off", "mode_in_files": "off"}, ["archiving-off"]),
        ({"mode": "off", "mode_in_files": None}, ["archiving-off"]),
        ({"mode": "off"}, ["restart-needed"]),
        ({"mode": "off", "mode_in_files": None, "wal_level": "minimal"}, ["archiving-off", "wal-level-minimal"]),
        ({"command": ""}, ["command-missing"]),
        ({"command": "/bin/true"}, ["command-foreign"]),
        ({"library": "basic_archive"}, ["command-foreign"]),
        ({"in_recovery": True}, ["standby"]),
        ({"in_recovery": True, "mode": "always"}, []),
        ({"failed_count": 2, "last_failed_time": NOON - MINUTE}, []),
        ({"failed_count": 2, "last_failed_time": NOON + MINUTE}, ["archiver-failing"]),
        ({"failed_count": 2, "last_failed_time": NOON, "last_archived_time": None}, ["archiver-failing"]),
        ({"timeout_seconds": 0}, ["archive-timeout-long"]),
        ({"timeout_seconds": 61}, ["archive-timeout-long"]),
        ({"timeout_seconds": 30}, []),
    ],
)
def test_each_trouble_has_a_name(changes: dict[str, t.Any], expected: list[str]) -> None:
    state = dataclasses.replace(HEALTHY, **changes)
    found = health_warnings(state, spool=SPOOL, wanted_timeout=MINUTE)
    assert sorted(found) == expected
    assert all(len(sentence) > 60 for sentence in found.values())


def test_no_timeout_is_worth_a_word_even_when_nobody_asked_for_one() -> None:
    without = dataclasses.replace(HEALTHY, timeout_seconds=0)
    said = health_warnings(without, spool=SPOOL, wanted_timeout=None)
    assert list(said) == ["archive-timeout-off"]
    assert "'45s'" in said["archive-timeout-off"], "a minute, with the way into the repositories"
    assert health_warnings(HEALTHY, spool=SPOOL, wanted_timeout=None) == {}


def entry(name: str, *, minutes: float) -> SpoolEntry:
    return SpoolEntry(name, f"{SPOOL}/{name}", 16 * MEBIBYTE, NOON - minutes * MINUTE)


def test_the_lag_is_what_is_finished_and_not_shipped() -> None:
    waiting = [entry("000000010000000000000003", minutes=9), entry("000000010000000000000004", minutes=2)]
    lag = lag_of(HEALTHY, spooled=waiting, now=NOON)
    assert (lag.bytes, lag.seconds, lag.oldest) == (2 * 16 * MEBIBYTE + 0x100, 540, "000000010000000000000003")
    assert (lag.waiting, lag.waiting_bytes) == (2, 32 * MEBIBYTE)


def test_an_idle_server_has_no_lag_but_its_unfinished_segment() -> None:
    lag = lag_of(HEALTHY, spooled=[], now=NOON)
    assert (lag.bytes, lag.seconds, lag.oldest) == (0x100, 0, None)


def test_what_the_archiver_has_yet_to_take_is_a_lag_too() -> None:
    ready = (ReadyFile(wal_name("000000010000000000000004"), NOON - 3 * MINUTE),)
    lag = lag_of(dataclasses.replace(HEALTHY, ready=ready), spooled=[], now=NOON)
    assert (lag.bytes, lag.seconds, lag.oldest) == (16 * MEBIBYTE + 0x100, 180, "000000010000000000000004")


def test_without_a_server_the_spool_tells_its_age() -> None:
    lag = lag_of(None, spooled=[entry("00000002.history", minutes=4)], now=NOON)
    assert (lag.bytes, lag.seconds, lag.oldest) == (None, 240, "00000002.history")


# --- from a description -----------------------------------------------------------------------------------------------


def test_the_registry_makes_it_and_refuses_what_it_does_not_know(tmp_path: pathlib.Path) -> None:
    kind = STREAM_KINDS["postgresql", "wal"]
    assert kind.filled_by_server
    context = StreamContext(
        series=t.cast("t.Any", None),
        host=Host(),
        state=t.cast("t.Any", None),
        spool=Spool(path=str(tmp_path), budget=1),
        connection={"host": "127.0.0.1"},
        options={"archive_timeout": "60s"},
    )
    made = kind.factory(context)
    assert (made.engine, made.kind) == ("postgresql", "wal")
    with pytest.raises(RequestInvalid, match="has no option archive_timout"):
        kind.factory(dataclasses.replace(context, options={"archive_timout": "60s"}))
