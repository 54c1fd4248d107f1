# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of Redis to every second of a ledger, across rewrites and restarts: all that was acknowledged is there."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    RecoveryTargetUnreachable,
)
from tests.integration.redis.aof_log_rig import (
    TIMED,
    Archive,
    LedgerWriter,
    everything,
    next_second,
    rewrite,
    second_now,
    seconds_of_windows,
)
from tests.integration.redis.conftest import DaemonStarter, Starter
from tests.integration.redis.servers import program
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("flavour", ["redis", "redis_8", "valkey"])
def test_every_second_of_a_ledger_across_rewrites(start: Starter, tmp_path: pathlib.Path, flavour: str) -> None:
    of = start(flavour=flavour, append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of, flavour_program=program(flavour))
    writer = LedgerWriter(of)
    begin = next_second()
    writer.until_second(begin + 1)
    archive.ship()
    writer.until_second(begin + 2)
    rewrite(of)  # one between two captures: the end of the increment before is in a link only
    writer.until_second(begin + 3)
    archive.ship()
    rewrite(of)
    archive.ship()
    writer.until_second(begin + 4)
    rewrite(of)
    archive.ship()
    writer.until_second(begin + 6)
    last = begin + 5
    archive.wait_until_complete(last)
    windows = archive.windows()
    assert not windows.gaps, windows
    assert len({window.lineage for window in windows.windows}) == 1
    seconds = [second for second in seconds_of_windows(windows) if begin <= second <= last]
    assert len(seconds) >= last - begin, f"hardly a second can be reached: {windows}"
    bases = set()
    for second in seconds:
        with archive.recovered(second) as found:
            writer.check(found, through=second)
            bases.add(found.plan.facts["base"]["increment"])
            assert found.outcome.content["through"] == second
    assert len(bases) >= 3, "each generation must have been begun with"
    exclusive = archive.plan(seconds[1], inclusive=False)
    assert exclusive.facts["through"] == seconds[1] - 1
    with archive.recovered(None) as found:
        writer.check(found, through=second_now())
        assert everything(found) == everything(of)


def test_the_last_moments_of_a_generation_are_not_lost_by_its_rewrite(start: Starter, tmp_path: pathlib.Path) -> None:
    of = start(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    archive.ship()
    first = next_second()
    writer.until_second(first + 1)
    rewrite(of)
    later = next_second()
    writer.some(3)
    archive.wait_until_complete(later)
    windows = archive.windows()
    assert not windows.gaps
    with archive.recovered(first) as found:
        assert found.plan.facts["base"]["increment"] == 1
        writer.check(found, through=first)
    assert not list((tmp_path / "spool" / ".aof-log").glob("*.0000000001.*")), "what is captured is let go"


def test_a_restart_keeps_the_lineage(daemon: DaemonStarter, tmp_path: pathlib.Path) -> None:
    of = daemon(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    first = next_second()
    writer.until_second(first + 1)
    archive.wait_until_complete(first)
    of.stop()
    of.start()
    second = next_second()
    writer.until_second(second + 1)
    archive.ship()
    of.kill()  # as a crash does
    of.start()
    third = next_second()
    writer.until_second(third + 1)
    archive.wait_until_complete(third)
    windows = archive.windows()
    assert len({window.lineage for window in windows.windows}) == 1
    for moment in (first, third):
        with archive.recovered(moment) as found:
            writer.check(found, through=moment)
    with archive.recovered(None) as found:
        assert everything(found) == everything(of)


def test_too_many_rewrites_between_two_captures_break_the_window_loudly(start: Starter, tmp_path: pathlib.Path) -> None:
    of = start(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    first = next_second()
    writer.until_second(first + 1)
    archive.wait_until_complete(first)
    rewrite(of)
    lost = next_second()
    writer.until_second(lost + 1)
    rewrite(of)  # the increment in between was never seen
    after = next_second()
    writer.until_second(after + 1)
    events = {event.what for stream in archive.streams() for event in stream.events}
    assert not events
    archive.wait_until_complete(after)
    events = {event.what for stream in archive.streams() for event in stream.events}
    assert events == {"break", "full-backup-needed"}
    windows = archive.windows()
    assert any("rewrites are more frequent than captures" in gap.reason for gap in windows.gaps), windows
    with pytest.raises(RecoveryTargetUnreachable, match="more frequent") as caught:
        archive.plan(lost)
    assert caught.value.details["before"] < caught.value.details["after"]
    for moment in (first, after):
        with archive.recovered(moment) as found:
            writer.check(found, through=moment)


def test_appendonly_switched_off_and_on_is_no_continuation(start: Starter, tmp_path: pathlib.Path) -> None:
    """The numbers of the increments follow one another, and yet a part of the history was never written."""
    of = start(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    first = next_second()
    writer.until_second(first + 1)
    archive.wait_until_complete(first)
    with of.client() as client:
        client.config_set("appendonly", "no")
    hidden = next_second()
    writer.some(5)
    with of.client() as client:
        client.config_set("appendonly", "yes")
        wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    after = next_second()
    writer.until_second(after + 1)
    archive.wait_until_complete(after)
    with pytest.raises(RecoveryTargetUnreachable, match="CONFIG SET"):
        archive.plan(hidden)
    with archive.recovered(after) as found:
        writer.check(found, through=after)


def test_a_while_as_a_replica_is_no_continuation(start: Starter, tmp_path: pathlib.Path) -> None:
    """All data was replaced, and again the numbers follow one another."""
    other, of = start(), start(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    first = next_second()
    writer.until_second(first + 1)
    archive.wait_until_complete(first)
    with other.client() as client:
        client.set("of the other", 1)
    with of.client() as client:
        client.replicaof("127.0.0.1", str(other.port))
        wait_for(lambda: client.get("of the other"))
        client.replicaof("NO", "ONE")
        wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        client.set("after", 1)
    last = next_second() + 1
    archive.wait_until_complete(last)
    windows = archive.windows()
    assert any("replica" in gap.reason for gap in windows.gaps), windows
    for second, keys in ((first, None), (last, {b"of the other", b"after"})):
        with archive.recovered(second) as found, found.client() as client:
            if keys is None:
                writer.check(found, through=second)
            else:
                assert set(client.keys()) == keys


def test_a_server_at_rest_has_a_window_to_now(
    start: Starter, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.aof_log_capture._QUIET_SECONDS", 1
    )
    of = start(append_only=True, settings=TIMED)
    archive = Archive(folder=tmp_path, of=of)
    writer = LedgerWriter(of)
    writer.some(3)
    archive.ship()
    now = next_second() + 1
    archive.wait_until_complete(now)
    with archive.recovered(now) as found:
        writer.check(found, through=now)
        assert everything(found) == everything(of)
