# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a stream by what was read already: the same, and nothing of repositories that are none of its own."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    StorageForbidden,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_run import open_storages
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import ShipRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_attention import attention_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_status import (
    Known,
    StreamStatus,
    read_stream_status,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_room import (
    WalLimits,
    WalRoom,
    room_facts,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.ship import streams_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_streams
from tests.support.streams import SERIES, Tape, name_of, ship_request


class Place:
    """Three segments in the repository of the job, one more in that of another job."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.tape = Tape(folder / "tape")
        for name in ("own", "other"):
            (folder / name).mkdir()
        self.request = self._request("own")
        self.tape.put(1, 2, 3)
        run_ship(self.request, host=Host())
        self.state = StateDirectory(path=self.request.state_directory)
        self.tape.put(4)
        run_ship(self._request("other"), host=Host())
        both = {**open_storages(self.request, host=Host()), **open_storages(self._request("other"), host=Host())}
        self.streams = read_streams(both, SERIES)

    def _request(self, name: str) -> ShipRequest:
        state = str(self.folder / f"state-{name}")
        repositories = {name: {"type": "file", "path": str(self.folder / name)}}
        return ship_request(self.tape, repositories, state=state, spool=str(self.folder / f"spool-{name}"))

    def status(self, known: Known | None) -> tuple[StreamStatus, list[LifeboatError]]:
        storages = {} if known is not None else open_storages(self.request, host=Host())
        readings = None if known is None else {SERIES: known}
        (found,), problems = read_stream_status(
            [self.request], storages=storages, state=self.state, clock=SystemClock(), known=readings
        )
        return found, problems


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


def test_what_was_read_already_says_the_same(place: Place) -> None:
    asked, _problems = place.status(None)
    known, problems = place.status(place.streams)
    assert known.newest == asked.newest
    assert (known.newest or {})["name"] == name_of(3)  # the fourth is in no repository of the job
    assert (known.newest_by, known.state, problems) == ("repositories", "ok", [])


def test_problems_of_other_repositories_are_not_its_own(place: Place) -> None:
    (stream,) = place.streams
    for name, expected in (("own", 1), ("other", 0)):
        problem = StorageUnreachable("away", details={"repository": name})
        _found, problems = place.status([dataclasses.replace(stream, problems=(problem,))])
        assert len(problems) == expected


def test_what_could_not_be_read_is_told_and_the_notes_have_to_do(place: Place) -> None:
    found, problems = place.status(StorageUnreachable("away"))
    assert [problem.code for problem in problems] == ["storage.unreachable"]
    assert (found.newest_by, (found.newest or {})["name"]) == ("notes", name_of(3))


def test_credentials_that_may_only_write_are_no_problem(place: Place) -> None:
    found, problems = place.status(StorageForbidden("may not list"))
    assert (problems, found.newest_by) == ([], "notes")


def test_the_room_of_pg_wal_is_looked_at_now(place: Place, tmp_path: pathlib.Path) -> None:
    """Nobody ships, the server is down, and its disk fills: the status and its metrics must not tell of better days."""
    folder = tmp_path / "pg_wal"
    (folder / "archive_status").mkdir(parents=True)
    quiet = WalRoom(segment_size=1000, size=0, waiting=0, path=str(folder), free=1, disk=1)
    noted = {"stored_until": "2026-11-21T12:00:00Z", "pg_wal": room_facts(quiet, WalLimits(budget=2500))}
    assert place.status(None)[0].pg_wal is None
    place.state.write("looks", f"{place.request.record_name}.json", noted)
    for number in range(3):
        (folder / f"00000001000000000000000{number}").write_bytes(b"w" * 1000)
        (folder / "archive_status" / f"00000001000000000000000{number}.ready").touch()
    found, _problems = place.status(None)
    assert found.pg_wal is not None
    assert (found.pg_wal["waiting_bytes"], found.pg_wal["size_bytes"]) == (3000, 3000)
    assert (found.pg_wal["disk_bytes"] or 0) > 10**6
    stream = {**found.as_dict(), "overdue": False}
    entries = {one["name"]: one for one in attention_of([], [stream], [], [])}
    assert entries["pg_wal_over_budget"]["severity"] == "critical"
    assert "pg_wal has 3 kB, 3 segments (3 kB) wait there" in streams_text([found], now=found.seen)
