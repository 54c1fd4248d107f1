# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full pg_wal is: by its folder, by the server, and which of it is an alarm."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import struct
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql import wal_room
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_health import ReadyFile
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import wal_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_room import (
    WalLimits,
    WalRoom,
    alarms_of,
    look_again,
    look_at_room,
    room_alarms,
    room_facts,
)
from tests.support.wal import IDENTIFIER, MEBIBYTE
from tests.unit.postgresql.wal_states import HEALTHY, MINUTE, NOON

GIB = 1024 * MEBIBYTE
LIMITS = WalLimits(budget=160 * MEBIBYTE, free_percent=10)
ROOM = WalRoom(segment_size=16 * MEBIBYTE, size=GIB, waiting=0, path="/x", free=50 * GIB, disk=100 * GIB)


def data_directory(folder: pathlib.Path, *, ready: int = 0, identifier: str = IDENTIFIER) -> pathlib.Path:
    """A cluster's folder, as far as it is looked at: five files, and what the archiver has yet to take of them."""
    (folder / "global").mkdir(parents=True)
    (folder / "global" / "pg_control").write_bytes(struct.pack("<QII", int(identifier), 1300, 202209061))
    status = folder / "pg_wal" / "archive_status"
    status.mkdir(parents=True)
    for number in range(1, 6):
        (folder / "pg_wal" / f"00000001000000000000000{number}").write_bytes(b"w" * 1000)
        word = "ready" if number <= ready else "done"
        (status / f"00000001000000000000000{number}.{word}").touch()
    (status / "00000002.history.ready").touch()
    (status / "000000010000000000000001.00000028.backup.ready").touch()
    return folder


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_the_folder_tells_without_the_server(tmp_path: pathlib.Path) -> None:
    path = data_directory(tmp_path, ready=2) / "pg_wal"
    found = wal_room.look_at_folder(str(path), segment_size=1000)
    assert found is not None
    disk = os.statvfs(path)
    assert (found.size, found.waiting, found.waiting_bytes) == (5000, 2, 2000), "histories and labels are small"
    assert found.disk == disk.f_blocks * disk.f_frsize
    assert 0 < (found.free or 0) <= found.disk
    assert wal_room.look_at_folder(str(tmp_path / "nowhere"), segment_size=1000) is None


def test_what_is_not_on_this_host_the_server_tells(tmp_path: pathlib.Path) -> None:
    ready = tuple(
        ReadyFile(wal_name(name), NOON - MINUTE)
        for name in ("000000010000000000000003", "000000010000000000000004", "00000002.history")
    )
    state = dataclasses.replace(HEALTHY, ready=ready, wal_size=GIB, data_directory=str(tmp_path / "elsewhere"))
    found = look_at_room(state, now=NOON)
    assert found is not None
    assert (found.path, found.size, found.waiting, found.waiting_bytes) == (None, GIB, 2, 32 * MEBIBYTE)
    assert (found.free, found.disk, found.seconds_left) == (None, None, None)
    unknown = dataclasses.replace(state, ready=None)
    assert look_at_room(unknown, now=NOON) is None, "the role may not know it"


def test_another_cluster_s_folder_is_not_taken_for_it(tmp_path: pathlib.Path) -> None:
    data_directory(tmp_path / "theirs", ready=5, identifier="42")
    found = look_at_room(dataclasses.replace(HEALTHY, data_directory=str(tmp_path / "theirs")), now=NOON)
    assert found is not None
    assert (found.path, found.waiting) == (None, 0)


def test_the_rate_is_what_was_written_since_the_oldest_was_finished(tmp_path: pathlib.Path) -> None:
    oldest = ReadyFile(wal_name("000000010000000000000002"), NOON - MINUTE)
    newer = ReadyFile(wal_name("000000010000000000000003"), NOON)
    state = dataclasses.replace(
        HEALTHY,
        ready=(newer, oldest),
        current_lsn="0/6000000",
        data_directory=str(data_directory(tmp_path, ready=2)),
        slot="dr",
        slot_bytes=7,
    )
    found = look_at_room(state, now=NOON)
    assert found is not None
    assert found.rate == 3 * 16 * MEBIBYTE / 60, "behind its end, 3000000"
    assert found.seconds_left == (found.free or 0) / found.rate
    assert (found.slot, found.slot_bytes) == ("dr", 7)
    too_new = dataclasses.replace(state, ready=(ReadyFile(oldest.name, NOON - MINUTE / 60),))
    assert (look_at_room(too_new, now=NOON) or found).rate is None, "a second tells nothing"


def test_a_later_look_at_the_folder_has_the_same_limits(tmp_path: pathlib.Path) -> None:
    path = data_directory(tmp_path, ready=1) / "pg_wal"
    before = room_facts(dataclasses.replace(ROOM, path=str(path), segment_size=1000, rate=5.0), LIMITS)
    (path / "archive_status" / "000000010000000000000004.done").rename(
        path / "archive_status" / "000000010000000000000004.ready"
    )
    now = look_again(before)
    assert (now["waiting_segments"], now["waiting_bytes"], now["size_bytes"]) == (2, 2000, 5000)
    assert (now["budget_bytes"], now["free_percent"]) == (LIMITS.budget, 10)
    assert now["seconds_left"] is None, "that was then"
    assert look_again({**before, "path": None})["bytes_per_second"] == 5
    assert look_again({**before, "path": str(tmp_path / "gone")}) == {**before, "path": str(tmp_path / "gone")}


# --- what is an alarm -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"waiting": 7}, {}),
        ({"waiting": 8}, {"pg_wal_growing": False}),
        ({"waiting": 10}, {"pg_wal_growing": False}),
        ({"waiting": 11}, {"pg_wal_over_budget": True}),
        ({"waiting": 11, "free": None, "disk": None}, {"pg_wal_over_budget": True}),
        ({"free": 10 * GIB}, {}),
        ({"free": 10 * GIB - 1}, {"pg_wal_disk_nearly_full": False}),
        ({"free": 10 * GIB - 1, "waiting": 1}, {"pg_wal_disk_nearly_full": False}),
        ({"free": 10 * GIB - 1, "waiting": 2}, {"pg_wal_disk_nearly_full": True}),
        ({"free": 0, "waiting": 99}, {"pg_wal_over_budget": True, "pg_wal_disk_nearly_full": True}),
    ],
)
def test_each_has_a_name_and_a_weight(changes: dict[str, t.Any], expected: dict[str, bool]) -> None:
    found = room_alarms(dataclasses.replace(ROOM, **changes), LIMITS)
    assert {one.name: one.is_critical for one in found} == expected
    again = alarms_of(room_facts(dataclasses.replace(ROOM, **changes), LIMITS))
    assert again == found, "the same by its facts"
    for one in found:
        assert "lifeboat ship --status" in one.hint
        assert "remove nothing from pg_wal" in one.hint


def test_no_opinion_on_the_disk_is_none() -> None:
    room = dataclasses.replace(ROOM, free=0, waiting=5)
    assert room_alarms(room, dataclasses.replace(LIMITS, free_percent=0)) == ()


def test_it_says_how_much_and_for_how_long() -> None:
    room = dataclasses.replace(ROOM, waiting=11, free=9 * GIB, rate=9 * GIB / 2460)
    over, disk = room_alarms(room, LIMITS)
    assert over.message == (
        "11 segments (176 MiB) wait in pg_wal to be archived, more than the 160 MiB that may (pg_wal_budget_mib). "
        "Its disk has 9216 MiB left. At the rate since the oldest of them that lasts for about 41 minutes."
    )
    assert "9216 MiB left of 102400 MiB, less than 10 % (pg_wal_free_percent)" in disk.message
    assert "11 segments (176 MiB) wait there to be archived." in disk.message


def test_a_slot_is_named_when_it_is_what_keeps_the_wal() -> None:
    room = dataclasses.replace(ROOM, free=GIB, waiting=2, slot="dr_standby", slot_bytes=80 * GIB)
    (disk,) = room_alarms(room, LIMITS)
    assert "The replication slot dr_standby keeps 81920 MiB of WAL." in disk.message
