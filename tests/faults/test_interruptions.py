# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is told to stop, at whatever moment, cleans up behind itself, frees its lock and lets go of its source."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import time
from dataclasses import replace

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.state import StateDirectory, running_jobs
from tests.faults.conftest import Bucket
from tests.support.backup_child import Nursery, Run
from tests.support.backups import MIB, leftovers, listed, make_source
from tests.support.children import processes_that_name
from tests.support.death import Rig, make_rig
from tests.support.waiting import wait_for


@pytest.fixture(params=["file", "s3"])
def rig(request: pytest.FixtureRequest, nursery: Nursery, tmp_path: pathlib.Path) -> Rig:
    if request.param == "file":
        make_source(tmp_path / "source", size=200_000)
        (tmp_path / "repository").mkdir()
        return make_rig(nursery, tmp_path, {"type": "file", "path": str(tmp_path / "repository")}, {})
    bucket: Bucket = request.getfixturevalue("bucket")
    make_source(tmp_path / "source", size=8 * MIB + 100_000)
    return make_rig(nursery, tmp_path, bucket.repository(), bucket.environment)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_told_to_stop_in_mid_stream_leaves_nothing(rig: Rig, number: signal.Signals) -> None:
    started = time.monotonic()
    waiting = replace(rig.plain, script="cat data && touch streaming && sleep 60")
    pid = rig.nursery.begin(waiting)
    wait_for(pathlib.Path(rig.plain.source, "streaming").exists)
    assert [job["job"] for job in running_jobs(StateDirectory(path=rig.plain.state))] == ["shop/main/static"]
    os.kill(pid, number)
    outcome = rig.nursery.end()
    assert outcome.document is not None
    assert outcome.document["error"]["code"] == "run.interrupted"
    assert time.monotonic() - started < 30
    assert rig.whole_backups(number) == {rig.first}
    assert leftovers(rig.storage) == []
    rig.assert_lock_is_free(number)
    assert processes_that_name(rig.plain.source) == []
    last = StateDirectory(path=rig.plain.state).records("shop.main.static")[-1]
    assert (last["state"], last["error"]["code"]) == ("failed", "run.interrupted")


def test_a_run_that_is_told_to_stop_at_some_moments_leaves_whole_backups_and_nothing_else(
    nursery: Nursery, tmp_path: pathlib.Path
) -> None:
    stop_at_any_moment(nursery, tmp_path, turns=12, at_least=2)


@pytest.mark.soak
def test_a_run_that_is_told_to_stop_at_any_moment_leaves_whole_backups_and_nothing_else(
    nursery: Nursery, tmp_path: pathlib.Path
) -> None:
    stop_at_any_moment(nursery, tmp_path, turns=25, at_least=6)


def stop_at_any_moment(nursery: Nursery, tmp_path: pathlib.Path, *, turns: int, at_least: int) -> None:
    """Stop so many runs, each at a moment drawn by lot; at least so many must have been met by the signal."""
    make_source(tmp_path / "source", size=200_000)
    (tmp_path / "repository").mkdir()
    rig = make_rig(nursery, tmp_path, {"type": "file", "path": str(tmp_path / "repository")}, {})
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    length = duration(rig.nursery, rig.plain)
    interrupted = 0
    for _turn in range(turns):
        rig.forget({backup.manifest.backup_id for backup in listed(rig.storage)} - {rig.first})
        pid = rig.nursery.begin(rig.plain)
        moment = chance.uniform(0, length)
        time.sleep(moment)
        stop(pid)
        outcome = rig.nursery.end()
        at = f"seed {seed}, after {moment:.4f} of {length:.4f} s: {outcome}"
        if outcome.document is None:
            # Before it could take signals, or after it had nothing to do any more.
            assert outcome.status == -signal.SIGTERM, at
        interrupted += outcome.document is None or "error" in outcome.document
        whole = rig.whole_backups(at)
        rig.assert_lock_is_free(at)
        left = leftovers(rig.storage)
        # Once the manifest is on its way nothing is removed: it may be there, and only its answer not. A few hundred
        # bytes may be left where the signal met the very line that begins to write them.
        expected = left == [] or any(name.endswith("/RESTORE.md") for name in left)
        small = ("/started.json", "/manifest.json")
        expected |= len(left) == 1 and left[0].startswith("unfinished ") and left[0].endswith(small)
        assert expected, f"{at} left {left}"
        rig.run_again(at, before=whole)
    assert interrupted >= at_least, f"seed {seed}: only {interrupted} of {turns} runs were met by the signal"


def duration(nursery: Nursery, run: Run) -> float:
    started = time.monotonic()
    nursery.run(run)
    return time.monotonic() - started


def stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it was quicker
