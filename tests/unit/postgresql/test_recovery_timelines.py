# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of timelines that this host knows to be taken, though no repository does."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.programs import ServerPrograms
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_timelines import (
    BEGINS,
    facts_of_next,
    next_timeline,
    put_histories,
    taken_timelines,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.timeline_history import (
    Ancestor,
    parse_history,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import ROLLED_BACK, Ledger
from tests.support.clocks import FakeClock

PROGRAMS = ServerPrograms(bin_directory="/none", version=(15, 1), account=None)
SECOND = b"1\t0/50000D8\tno recovery target specified\n"


@pytest.fixture
def cluster(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "data" / "pg_wal").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def state(tmp_path: pathlib.Path) -> StateDirectory:
    return StateDirectory(path=str(tmp_path / "state"))


def test_the_first_number_without_a_history(cluster: pathlib.Path) -> None:
    assert next_timeline(str(cluster), after=1) == 2
    for name in ("00000002.history", "00000003.history", "00000005.history"):
        (cluster / "pg_wal" / name).write_bytes(SECOND)
    assert next_timeline(str(cluster), after=1) == 4
    assert next_timeline(str(cluster), after=3) == 4
    assert next_timeline(str(cluster), after=5) == 6


def test_what_is_noted_before_a_promotion(cluster: pathlib.Path) -> None:
    assert facts_of_next(str(cluster), followed=1, replayed=0x3000148) == {
        "timeline": 2,
        "history": [[1, "0/3000148"]],
    }
    (cluster / "pg_wal" / "00000002.history").write_bytes(SECOND)
    noted = facts_of_next(str(cluster), followed=2, replayed=0x7000148)
    assert noted == {"timeline": 3, "history": [[1, "0/50000D8"], [2, "0/7000148"]]}
    # To a point before that timeline began.
    assert facts_of_next(str(cluster), followed=2, replayed=0x4000000)["history"] == [[2, "0/4000000"]]


def test_what_earlier_restores_began_is_taken(cluster: pathlib.Path, state: StateDirectory) -> None:
    def restore(restore_id: str, target: str, timeline: int) -> Ledger:
        ledger = Ledger.begin(state=state, clock=FakeClock(), restore_id=restore_id, target=target, request={})
        ledger.intend("start", {BEGINS: {"timeline": timeline, "history": [[1, "0/3000148"]]}})
        return ledger

    rolled_back = restore("20261121T030000Z-abc123", str(cluster), 2)
    rolled_back.undone("start")
    rolled_back.close(ROLLED_BACK)
    restore("20261121T040000Z-abc123", "/somewhere/else", 3)  # a copy, which archives nothing
    restore("20261121T050000Z-abc123", str(cluster), 4)  # died while it started
    (cluster / "pg_wal" / "00000004.history").write_bytes(SECOND)
    (cluster / "pg_wal" / "00000006.history").write_bytes(SECOND)
    taken = taken_timelines(data_directory=str(cluster), state=state)
    assert sorted(taken) == [2, 4, 6]
    assert taken[4] == SECOND, "the real one rather than what was noted"
    assert parse_history(taken[2], timeline=2).ancestors == (Ancestor(1, 0x3000148),)


def test_notes_that_say_nothing_are_passed_over(cluster: pathlib.Path, state: StateDirectory) -> None:
    ledger = Ledger.begin(
        state=state, clock=FakeClock(), restore_id="20261121T030000Z-abc123", target=str(cluster), request={}
    )
    for number, noted in enumerate([None, 7, {}, {"timeline": "x"}, {"timeline": 2, "history": [["x"]]}]):
        ledger.intend(f"step{number}", {BEGINS: noted})
    assert taken_timelines(data_directory=str(cluster), state=state) == {}
    assert taken_timelines(data_directory=str(cluster / "none"), state=state) == {}


def test_what_is_there_is_never_replaced(cluster: pathlib.Path) -> None:
    (cluster / "pg_wal" / "00000002.history").write_bytes(SECOND)
    put_histories(str(cluster), {2: b"another", 3: b"new"}, programs=PROGRAMS)
    assert (cluster / "pg_wal" / "00000002.history").read_bytes() == SECOND
    assert (cluster / "pg_wal" / "00000003.history").read_bytes() == b"new"
