# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces are joined into files that a server loads, up to the second that is wanted; what does not fit is refused."""

from __future__ import annotations

import datetime
import pathlib
import shutil
import typing as t
from dataclasses import dataclass, replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    AofInvalid,
    ContentMismatch,
    RdbInvalid,
    RecoveryEndedEarly,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_data import AofLogData
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_piece import Piece
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_planner import AofLogPlanner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.staging import Persistence
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment
from sandbox.parts import find_redis_server
from tests.unit.redis.made_files import command, make_rdb
from tests.unit.redis.made_pieces import base, increment, stream

RDB = make_rdb(keys={"a": b"1"})
SET = command("SET", "key", "value")
FIRST = b"#TS:101\r\n" + SET + b"#TS:103\r\n" + SET
SECOND = b"#TS:105\r\n" + SET * 2
THIRD = b"#TS:107\r\n" + SET
PERSISTENCE = Persistence(True, "dump.rdb", "own.aof", "aofdir")
END = len(FIRST + SECOND)
BYTES: dict[str, bytes] = {}


def kept(piece: Piece, data: bytes) -> Piece:
    BYTES[str(piece.name)] = data
    return piece


def crc64() -> str:
    return int.from_bytes(RDB[-8:], "little").to_bytes(8, "big").hex()


PIECES = (
    kept(base(1, holds=100, size=len(RDB), rdb={"magic": "REDIS", "rdb_version": 10, "crc64": crc64()}), RDB),
    kept(increment(1, 0, len(FIRST), seconds=(101, 103)), FIRST),
    kept(increment(1, len(FIRST), END, seconds=(105,), opening=103), SECOND),
    kept(increment(2, 0, len(THIRD), seconds=(107,), covered=110, opening=105, previous=(1, END)), THIRD),
)


@dataclass
class Reader:
    """Segments out of *contents*, by name."""

    plan: RecoveryPlan
    contents: dict[str, bytes]

    def fetch(self, segment: StoredSegment, path: str) -> None:
        pathlib.Path(path).write_bytes(self.contents[segment.segment.name])

    def check(self) -> None:
        """Nothing is stored anywhere."""


def planned(second: int | None) -> RecoveryPlan:
    moment = None if second is None else datetime.datetime.fromtimestamp(second, tz=datetime.timezone.utc)
    target = RecoveryTarget(kind="latest" if moment is None else "time", time=moment)
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)
    return AofLogPlanner().plan(bases=(), streams=(stream(*PIECES),), target=target, now=now)


def laid_out(
    folder: pathlib.Path, plan: RecoveryPlan, *, program: str | None = None, **contents: bytes
) -> tuple[AofLogData, t.Any]:
    data = AofLogData(reader=Reader(plan, {**BYTES, **contents}), host=Host())
    _places, facts = data.stage(
        None, data.noted(None), str(folder), PERSISTENCE, program=program, progress=Progress(clock=SystemClock())
    )
    return data, facts


@pytest.mark.parametrize(
    ("second", "files"),
    [
        (100, {1: b""}),
        (102, {1: FIRST[: -len(b"#TS:103\r\n" + SET)]}),
        (104, {1: FIRST}),
        (106, {1: FIRST + SECOND, 2: b""}),
        (None, {1: FIRST + SECOND, 2: THIRD}),
    ],
)
def test_files_up_to_a_second(tmp_path: pathlib.Path, second: int | None, files: dict[int, bytes]) -> None:
    folder = tmp_path / "staging"
    _data, facts = laid_out(folder, planned(second))
    found = {path.name: path.read_bytes() for path in (folder / "append-only").iterdir()}
    manifest = found.pop("own.aof.manifest").decode().splitlines()
    assert found.pop("own.aof.1.base.rdb") == RDB
    assert found == {f"own.aof.{number}.incr.aof": data for number, data in files.items()}
    assert manifest[0] == "file own.aof.1.base.rdb seq 1 type b"
    assert manifest[1:] == [f"file own.aof.{number}.incr.aof seq {number} type i" for number in files]
    assert facts["lengths"] == {f"own.aof.{number}.incr.aof": len(data) for number, data in files.items()}
    assert not (folder / "piece").exists()


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize("damage", [b"", b"x", b"*1\r\n$9\r\n"])
def test_other_bytes_than_planned(tmp_path: pathlib.Path, number: int, damage: bytes) -> None:
    name = str(PIECES[number].name)
    bad = damage + BYTES[name][len(damage) :] if damage else BYTES[name][:-1]
    with pytest.raises((ContentMismatch, AofInvalid, RdbInvalid)):
        laid_out(tmp_path / "staging", planned(None), **{name: bad})


def test_a_hole_is_not_joined(tmp_path: pathlib.Path) -> None:
    plan = planned(None)
    with pytest.raises(AofInvalid, match="are missing"):
        laid_out(tmp_path / "staging", replace(plan, segments=(plan.segments[0], *plan.segments[2:])))


def test_pieces_that_overlap_must_agree(tmp_path: pathlib.Path) -> None:
    start = len(FIRST) - len(SET)
    again = increment(1, start, END, seconds=(105,), opening=103)
    plan = AofLogPlanner().plan(
        bases=(),
        streams=(stream(PIECES[0], PIECES[1], again, PIECES[3]),),
        target=RecoveryTarget(kind="latest"),
        now=datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc),
    )
    whole = FIRST + SECOND
    laid_out(tmp_path / "staging", plan, **{str(again.name): whole[start:]})
    assert (tmp_path / "staging/append-only/own.aof.1.incr.aof").read_bytes() == whole
    with pytest.raises(ContentMismatch, match="other bytes"):
        laid_out(tmp_path / "staging", plan, **{str(again.name): SET.upper() + SECOND})


def test_a_server_that_left_the_end_out(tmp_path: pathlib.Path) -> None:
    data, facts = laid_out(tmp_path / "staging", planned(None))
    shutil.move(tmp_path / "staging/append-only", tmp_path / "aofdir")
    data.require_loaded(facts, str(tmp_path), PERSISTENCE)
    with (tmp_path / "aofdir/own.aof.2.incr.aof").open("r+b") as file:
        file.truncate(5)
    with pytest.raises(RecoveryEndedEarly):
        data.require_loaded(facts, str(tmp_path), PERSISTENCE)


def test_the_checker_of_the_server_reads_all_of_it(tmp_path: pathlib.Path) -> None:
    """It refuses what our own reader does not look at: a transaction within a transaction."""
    program = find_redis_server()
    if program is None:
        pytest.skip("SKIPPED LOUDLY: no redis-server here")
    alone = tmp_path / program.name  # without its checker beside it, as some packages have it
    alone.symlink_to(program)
    for server in (str(program), str(alone)):
        laid_out(tmp_path / "good", planned(None), program=server)
        assert not list((tmp_path / "good").glob("*check*"))
        nested = command("MULTI") + command("MULTI") + command("EXEC")
        bad = b"#TS:107\r\n" + nested
        whole = kept(increment(2, 0, len(bad), seconds=(107,), covered=110, opening=105, previous=(1, END)), bad)
        plan = AofLogPlanner().plan(
            bases=(),
            streams=(stream(*PIECES[:3], whole),),
            target=RecoveryTarget(kind="latest"),
            now=datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc),
        )
        with pytest.raises(AofInvalid, match="redis-check-aof refuses"):
            laid_out(tmp_path / "bad", plan, program=server)


def test_the_ledger_s_form_of_a_plan_is_enough_to_put_things_back() -> None:
    plan = replace(planned(102), segments=())
    noted = AofLogData(reader=Reader(plan, {}), host=Host()).noted(None)
    assert (noted.flavour, noted.version, noted.rdb_version, noted.databases) == ("redis", (7, 0, 15), 10, 1)
    assert noted.size == len(RDB) + len(FIRST)
