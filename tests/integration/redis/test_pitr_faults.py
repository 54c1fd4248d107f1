# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing, damaged or wrong is said before anything stops; captures that die lose nothing."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import signal
import sys
import tempfile
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    AofLogUnsupported,
    LifeboatError,
    RecoveryTargetInvalid,
    RecoveryTargetUnreachable,
    RedisAppendOnlyOff,
    RestoreVersionMismatch,
    StreamSegmentRefused,
    StreamSpoolFull,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_piece import Piece
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_planner import AofLogPlanner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool
from tests.integration.redis.aof_log_rig import TIMED, Archive, LedgerWriter, everything, next_second, rewrite
from tests.integration.redis.conftest import DaemonStarter, Starter
from tests.integration.redis.servers import configure, program

pytestmark = pytest.mark.slow
_CAPTURE = "ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_capture"
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "subprocess.Popen"}


@pytest.fixture
def archive(start: Starter, tmp_path: pathlib.Path) -> Archive:
    return Archive(folder=tmp_path, of=start(append_only=True, settings=TIMED))


def do_or_die(work: t.Callable[[], t.Any], *, deadly: int) -> int:
    """Do *work* in a process that kills itself before its change of the disk, or command, of the number *deadly*.

    How many changes there were; 0 when it died.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status, count = 1, 0
        try:

            def look(event: str, arguments: tuple[t.Any, ...]) -> None:
                nonlocal count
                is_writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
                if event in _CHANGES or is_writing:
                    count += 1
                    if count == deadly:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(look)
            work()
            os.write(writing, str(count).encode())
            status = 0
        finally:
            if status:
                sys.excepthook(*t.cast("t.Any", sys.exc_info()))
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as said:
        count = int(said.read() or 0)
    _pid, ended = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(ended)
    assert code in (0, -signal.SIGKILL), f"it ended with {code}"
    return count


def test_captures_that_are_killed_anywhere_lose_nothing(archive: Archive) -> None:
    writer = LedgerWriter(archive.of)
    deaths, deadly, survived = 0, 1, 0
    while survived < 2:
        writer.some(3)
        if deadly % 5 == 0:
            rewrite(archive.of)  # between two captures, of which the first died
            writer.some(2)
        if not do_or_die(archive.capture, deadly=deadly):
            deaths += 1
            if deadly % 3 == 0:  # one that ends well in between, and its work is shipped
                archive.ship()
        else:
            survived += 1
        deadly += 1
    assert deaths >= 10
    archive.ship()
    assert not archive.windows().gaps, archive.windows()
    with archive.recovered(None) as found:
        assert everything(found) == everything(archive.of)
    (stream,) = archive.streams()
    ends: dict[tuple[int, str], int] = {}
    for piece in sorted((Piece.of(one.segment) for one in stream.segments), key=lambda piece: piece.name):
        name = piece.name
        assert name.offset == ends.get((name.increment, name.type), 0), f"{name} was captured twice, in part"
        ends[name.increment, name.type] = name.end


@pytest.fixture
def shipped(archive: Archive) -> tuple[Archive, LedgerWriter, int]:
    """Three pieces of one increment; the second in which the middle one was written."""
    writer = LedgerWriter(archive.of)
    seconds = []
    for _turn in range(3):
        seconds.append(next_second())
        writer.until_second(seconds[-1] + 1)
        archive.ship()
    archive.wait_until_complete(seconds[-1])
    return archive, writer, seconds[1]


def test_pieces_that_are_missing_or_damaged(shipped: tuple[Archive, LedgerWriter, int]) -> None:
    archive, _writer, second = shipped
    whole = archive.plan(second)
    last = whole.segments[-1]
    key = next(archive.repository.rglob(f"{last.segment.payload.name}"))
    stored = key.read_bytes()
    for damage in (stored[:-1], stored[:10] + bytes([stored[10] ^ 1]) + stored[11:], None):
        if damage is None:
            key.unlink()
        else:
            key.write_bytes(damage)
        with pytest.raises(LifeboatError, match=r"\S") as caught:
            archive.restore(archive.plan(second), {"data_directory": str(archive.folder / "never")})
        assert caught.value.code in ("recovery.target_unreachable", "payload.damaged"), caught.value
        assert not (archive.folder / "never").exists(), "it must be said before anything is made"
    key.write_bytes(stored)
    with archive.recovered(second):
        pass


def test_pieces_without_a_record_or_with_two(shipped: tuple[Archive, LedgerWriter, int]) -> None:
    archive, _writer, second = shipped
    (stream,) = archive.streams()
    plan = archive.plan(second)
    middle = plan.segments[-1]
    planner = AofLogPlanner()

    def planned(segments: t.Sequence[t.Any]) -> t.Any:
        target = plan.target
        now = archive.host.clock.now()
        return planner.plan(bases=(), streams=(replace(stream, segments=tuple(segments)),), target=target, now=now)

    assert planned([*stream.segments, middle]).segments == plan.segments, "the same piece twice is one"
    with pytest.raises(RecoveryTargetUnreachable, match="are in no repository") as caught:
        planned([one for one in stream.segments if one != middle])
    assert caught.value.details["before"] is not None
    forged = replace(middle, segment=replace(middle.segment, plain_sha256="0" * 64))
    with pytest.raises(RecoveryTargetUnreachable):
        planned([*stream.segments, forged])


def test_servers_that_can_not_be_archived(start: Starter, tmp_path: pathlib.Path) -> None:
    off = Archive(folder=tmp_path / "off", of=start())
    with pytest.raises(RedisAppendOnlyOff, match="appendonly is no") as caught:
        off.capture()
    assert "CONFIG SET appendonly yes" in caught.value.hint
    old = Archive(folder=tmp_path / "old", of=start(flavour="redis_6", append_only=True))
    with pytest.raises(AofLogUnsupported, match=r"before Redis 7\.0"):
        old.capture()


def test_times_are_turned_on_and_what_has_none_is_no_window(start: Starter, tmp_path: pathlib.Path) -> None:
    of = start(append_only=True)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    writer.some(5)
    result = archive.ship()
    assert any("aof-timestamp-enabled" in warning.message for warning in result.warnings), result.warnings
    before = next_second()
    writer.some(5)
    archive.ship()
    with pytest.raises(RecoveryTargetUnreachable):
        archive.plan(before)
    archive.options["turn_on_timestamps"] = True
    archive.ship()
    with of.client() as client:
        assert client.config_get("aof-timestamp-enabled") == {"aof-timestamp-enabled": "yes"}
    notes = json.loads(next((tmp_path / "spool" / ".aof-log").glob("*.json")).read_text())
    assert notes["turned_on"], "what was changed on the server is noted"
    archive.ship()
    timed = next_second()
    writer.until_second(timed + 2)
    archive.wait_until_complete(timed + 1)
    with archive.recovered(timed + 1) as found:
        writer.check(found, through=timed + 1)


def test_times_that_are_switched_off_in_between(archive: Archive) -> None:
    """What is written then has no time of its own, and must not be taken for what was written before."""
    writer = LedgerWriter(archive.of)
    first = next_second()
    writer.until_second(first + 1)
    archive.wait_until_complete(first)
    dated = next_second()
    writer.some(3)
    configure(archive.of, aof_timestamp_enabled="no")
    undated = next_second()
    writer.some(3)
    archive.ship()
    configure(archive.of, aof_timestamp_enabled="yes")
    archive.ship()
    again = next_second()
    writer.until_second(again + 1)
    archive.wait_until_complete(again)
    for second in (dated, undated):
        with pytest.raises(RecoveryTargetUnreachable, match="without a time"):
            archive.plan(second)
    for second in (first, again):
        with archive.recovered(second) as found:
            writer.check(found, through=second)


def test_targets_that_redis_does_not_know(archive: Archive) -> None:
    archive.ship()
    now = archive.host.clock.now()
    for target in (
        RecoveryTarget(kind="lsn", value="0/1"),
        RecoveryTarget(kind="time", time=now, skip=("1:1",)),
        RecoveryTarget(kind="time", time=now.replace(year=2999)),
    ):
        with pytest.raises(RecoveryTargetInvalid):
            AofLogPlanner().plan(bases=(), streams=archive.streams(), target=target, now=now)


def test_a_rewrite_is_not_waited_for(start: Starter, tmp_path: pathlib.Path) -> None:
    """While one runs the manifest names two increments, and both are captured."""
    of = start(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    writer.some(20)
    archive.ship()
    configure(of, rdb_key_save_delay="50000")  # a rewrite of this takes a second
    with of.client() as client:
        client.bgrewriteaof()
    writer.some(5)
    archive.ship()
    names = [one.segment.name for stream in archive.streams() for one in stream.segments]
    assert any(".0000000002.i." in name for name in names), names
    configure(of, rdb_key_save_delay="0")
    with archive.recovered(None) as found:
        assert everything(found) == everything(of)


def test_damage_is_undone_in_place(daemon: DaemonStarter, tmp_path: pathlib.Path) -> None:
    of = daemon(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    writer.some(10)
    archive.ship()
    rewrite(of)
    good = next_second()
    writer.some(10)
    held = everything(of)
    bad = next_second()
    with of.client() as client:
        client.flushall()
    writer.some(2)
    archive.wait_until_complete(bad)
    lineage = archive.plan(good).lineage
    options = {"connection": {"port": of.port}, "in_place": True, "service_control": of.control, "start_timeout": 5}
    outcome = archive.restore(archive.plan(bad, inclusive=False), options)
    assert everything(of) == held
    assert outcome.content["through"] == bad - 1
    assert outcome.aside
    of.stop()
    of.start()
    assert everything(of) == held, "it must also hold after another restart"
    # The history that was left stays what it was, and another one begins.
    later = next_second()
    writer.until_second(later + 1)
    archive.wait_until_complete(later)
    assert archive.plan(later).lineage != lineage
    assert archive.plan(good).lineage == lineage
    with archive.recovered(later) as found, found.client() as copy:
        assert copy.get("one:5") == b"5", "what was brought back belongs to the new history"
        writer.written = [one for one in writer.written if one.sent >= later]
        writer.check(found, through=later)
    with archive.recovered(bad) as found, found.client() as client:
        assert client.dbsize() <= 5, "the damage itself can be looked at, too"


def test_recoveries_that_are_killed_are_finished_or_taken_back(daemon: DaemonStarter, tmp_path: pathlib.Path) -> None:
    of = daemon(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    writer.some(10)
    rewrite(of)
    wanted = everything(of)
    archive.ship()
    plan = archive.plan(None)
    options = {"connection": {"port": of.port}, "in_place": True, "service_control": of.control, "start_timeout": 5}
    changes = do_or_die(lambda: archive.restore(plan, options, restore_id="20261121T120000Z-abcdef"), deadly=0)
    assert changes > 20
    deaths = 0
    for number, deadly in enumerate(range(3, changes, changes // 8)):
        with of.client() as client:
            client.set(f"held:{number}", number)
        held = everything(of)
        restore_id = f"20261121T1201{number:02d}Z-abcdef"
        work = functools.partial(archive.restore, plan, options, restore_id=restore_id)
        if do_or_die(work, deadly=deadly):
            assert everything(of) == wanted
            continue
        deaths += 1
        if archive.state.read("restores", f"{restore_id}.json") is None:
            assert everything(of) == held
        elif number % 2:
            archive.resume(plan, options, restore_id=restore_id)
            assert everything(of) == wanted, f"finished after a death at {deadly}"
        else:
            archive.roll_back(plan, options, restore_id=restore_id)
            assert everything(of) == held, f"taken back after a death at {deadly}"
    assert deaths >= 6


def test_large_files_are_captured_in_pieces_that_fit_into_the_spool(
    start: Starter, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_CAPTURE}.LARGEST_PIECE", 50_000)
    of = start(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    with of.client() as client:
        for number in range(100):
            client.set(f"large:{number}", os.urandom(4000))
    rewrite(of)
    with of.client() as client, client.pipeline(transaction=True) as pipeline:
        for number in range(100, 130):  # one transaction of more than two pieces
            pipeline.set(f"large:{number}", os.urandom(4000))
        pipeline.execute()
    LedgerWriter(of).some(5)
    result = archive.ship(spool_budget=200_000)
    assert result.spool.segments == 0, result
    archive.ship(spool_budget=200_000)
    pieces = [Piece.of(one.segment) for stream in archive.streams() for one in stream.segments]
    assert sum(piece.is_base for piece in pieces) >= 8
    assert max(piece.name.end - piece.name.offset for piece in pieces) > 100_000, "a transaction is not cut"
    with archive.recovered(None) as found:
        assert everything(found) == everything(of)


def test_a_full_spool_keeps_what_a_rewrite_deletes(start: Starter, tmp_path: pathlib.Path) -> None:
    """Nothing can be shipped for a while: files are linked, not copied, and none is lost."""
    of = start(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    archive.ship()
    source = archive.source()
    source.inspect()
    full = Spool(path=archive.spool.path, budget=1)
    for _turn in range(3):
        writer.some(5)
        with pytest.raises(StreamSpoolFull):
            source.capture(spool=full, stored=None, progress=Progress(clock=SystemClock()))
        rewrite(of)
    held = source.inspect()
    assert held.facts["linked_bytes"] > 0
    archive.ship()
    assert not archive.windows().gaps
    assert archive.source().inspect().facts["linked_bytes"] == 0
    with archive.recovered(None) as found:
        assert everything(found) == everything(of)


def test_a_spool_on_another_file_system(start: Starter, tmp_path: pathlib.Path) -> None:
    """Links are made in the server's data folder then, and taken away again."""
    of = start(append_only=True, settings=TIMED)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="lifeboat-test-") as elsewhere:
        if os.stat(elsewhere).st_dev == tmp_path.stat().st_dev:
            pytest.skip("SKIPPED LOUDLY: /dev/shm is no file system of its own here")
        archive = Archive(folder=pathlib.Path(elsewhere), of=of)
        writer = LedgerWriter(of)
        archive.capture()
        writer.some(5)
        (links,) = of.data_directory.glob(".lifeboat-aof-log-*")
        assert list(links.iterdir())
        rewrite(of)
        archive.ship()
        assert not archive.windows().gaps
        with archive.recovered(None) as found:
            assert everything(found) == everything(of)


def test_a_piece_that_somebody_took_out_of_the_spool_is_captured_again(archive: Archive) -> None:
    writer = LedgerWriter(archive.of)
    archive.ship()
    for _turn in range(3):
        writer.some(3)
        archive.capture()
    names = [entry.name for entry in archive.spool.entries() if ".i." in entry.name]
    os.unlink(archive.folder / "spool" / names[1])
    archive.ship()
    assert not archive.windows().gaps
    with archive.recovered(None) as found:
        assert everything(found) == everything(archive.of)


def test_a_file_in_the_spool_that_was_changed_is_not_stored(archive: Archive) -> None:
    LedgerWriter(archive.of).some(3)
    archive.capture()
    entry = archive.spool.entries()[-1]
    data = bytearray(pathlib.Path(entry.path).read_bytes())
    data[-5] ^= 1
    pathlib.Path(entry.path).write_bytes(data)
    with pytest.raises(StreamSegmentRefused, match="not those that were captured"):
        archive.source().describe(entry)


def test_targets_that_can_not_load_it_are_refused_before_anything_is_made(archive: Archive) -> None:
    LedgerWriter(archive.of).some(3)
    archive.ship()
    options = {"data_directory": str(archive.folder / "never"), "server_program": str(program("redis_6"))}
    with pytest.raises(RestoreVersionMismatch, match="can't load this backup"):
        archive.restore(archive.plan(None), options)
    assert not (archive.folder / "never").exists()
