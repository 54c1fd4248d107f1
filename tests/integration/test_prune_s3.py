# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole prunes of buckets of a real S3 server: two at once, storms of refusals, locks, a death, backups that go on."""

from __future__ import annotations

import contextlib
import datetime
import functools
import pathlib
import signal
import subprocess
import sys
import threading
import time
import typing as t
import uuid

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock, format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.s3 import S3Server
from tests.support.busy_proxy import BusyProxy
from tests.support.children import ENGINE, environment
from tests.support.command_line import CommandLine, describe
from tests.support.copies import described, put_backup, put_verification

DAYS, KEPT = 24, 14
PAYLOADS = ("dump.archive.zst", "users.json")
JOB = "family/main/full"


@pytest.fixture(scope="module")
def server() -> t.Iterator[S3Server]:
    with S3Server(buckets=("plain",), locked_buckets=("locked",)) as server:
        yield server


class Site:
    """A bucket with a proved backup of each of the last days, and the command line that keeps fourteen of them."""

    def __init__(self, folder: pathlib.Path, server: S3Server, *, bucket: str = "plain") -> None:
        self.folder, self.server, self.bucket = folder, server, bucket
        self.prefix = f"prune-{uuid.uuid4().hex[:8]}"
        keys = server.administrator
        self.keys = folder / "s3.env"
        self.keys.write_text(f"AWS_ACCESS_KEY_ID={keys.access_key}\nAWS_SECRET_ACCESS_KEY={keys.secret_key}\n")
        now = datetime.datetime.now(tz=datetime.UTC)
        self.ids = [new_backup_id(now=now - datetime.timedelta(days=age, minutes=10)) for age in range(DAYS)]
        for backup_id in self.ids:
            backup = put_backup(self.storage, described(backup_id, labels={"job": JOB}, repositories=("far",)))
            put_verification(self.storage, backup, {"far": 4})

    def repository(self, endpoint_url: str) -> dict[str, t.Any]:
        return {
            "type": "s3",
            "bucket": self.bucket,
            "prefix": self.prefix,
            "region": self.server.region,
            "endpoint_url": endpoint_url,
            "credentials": {"file": str(self.keys)},
        }

    @functools.cached_property
    def storage(self) -> Storage:
        description = self.repository(self.server.endpoint_url)
        return open_storage(description, name="far", clock=SystemClock(), runner=SubprocessRunner())

    def command_line(self, name: str, *, endpoint_url: str = "") -> CommandLine:
        """Of a host of its own: nothing but the bucket is shared."""
        backups = [{"kind": "full", "schedule": "0 0 * * *", "repositories": ["far"], "keep": {"daily": KEPT}}]
        source = {
            "name": "main",
            "engine": "mongodb",
            "connection": {"uri": "mongodb://127.0.0.1:1/?directConnection=true"},
            "backups": backups,
        }
        return describe(
            self.folder / f"{name}.json",
            {
                "lifeboat_repositories": {"far": self.repository(endpoint_url or self.server.endpoint_url)},
                "lifeboat_settings": {"state_directory": str(self.folder / f"{name}-state")},
                "lifeboat_services": [{"name": "family", "sources": [source]}],
            },
        )

    def whole(self) -> list[str]:
        """The ids that a list shows, the newest first; each of them has all of its payloads."""
        listed = self.command_line("reader")("list --json").succeeded().document["backups"]
        keys = {found.key for found in self.storage.list("family/")}
        for backup in listed:
            for payload in PAYLOADS:
                assert f"{JOB}/{backup['id']}/{payload}" in keys, f"{backup['id']} is listed and has no {payload}"
        return sorted((backup["id"] for backup in listed), reverse=True)

    def left(self) -> set[str]:
        """The ids of which anything is left, be it no backup any more."""
        return {found.key.split("/")[3] for found in self.storage.list(f"{JOB}/")}


@pytest.fixture
def site(tmp_path: pathlib.Path, server: S3Server) -> Site:
    return Site(tmp_path, server)


@contextlib.contextmanager
def pruning(command_line: CommandLine) -> t.Iterator[subprocess.Popen[str]]:
    """``lifeboat prune --yes`` in a process of its own."""
    words = [sys.executable, "-m", ENGINE, "--config", str(command_line.configuration), "prune", "--yes"]
    with subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_the_first(site: Site, process: subprocess.Popen[str]) -> None:
    """Until it marked a copy as one that goes."""
    deadline = time.monotonic() + 60
    while not any("/removal-" in found.key for found in site.storage.list(f"{JOB}/")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_two_at_once_leave_what_the_policy_says(site: Site) -> None:
    with pruning(site.command_line("one")) as one, pruning(site.command_line("two")) as two:
        said = [one.communicate(timeout=120), two.communicate(timeout=120)]
        statuses = sorted([one.returncode, two.returncode])
    assert statuses[0] == 0, said
    for (_out, err), status in zip(said, (one.returncode, two.returncode), strict=True):
        assert status == 0 or "[retention.prune_running]" in err, err
        assert "Traceback" not in err
    assert site.whole() == site.ids[:KEPT]
    assert site.left() == set(site.ids[:KEPT])


@pytest.mark.slow
def test_one_that_was_asleep_and_one_that_took_over(site: Site) -> None:
    """The lease was taken from a run that sleeps; it wakes up and goes on: both are at work, and nothing else goes."""
    with (
        BusyProxy(server_port(site), most_at_once=8, seconds=0.3) as slow,
        pruning(site.command_line("one", endpoint_url=slow.endpoint_url)) as one,
    ):
        wait_for_the_first(site, one)
        one.send_signal(signal.SIGSTOP)
        other = site.command_line("two")
        other("prune --yes").refused("retention.prune_running", status=4, hint="lifeboat repo unlock")
        other("repo unlock --break --repository far").succeeded()
        other("prune --yes").succeeded()
        one.send_signal(signal.SIGCONT)
        _out, err = one.communicate(timeout=120)
    assert "Traceback" not in err
    assert site.whole() == site.ids[:KEPT]
    assert site.left() == set(site.ids[:KEPT])


@pytest.mark.slow
def test_a_storm_of_refusals_is_outlived(site: Site) -> None:
    with BusyProxy(server_port(site), most_at_once=2, path_contains=site.prefix, seconds=0.02) as busy:
        # Reading, marking and deleting: whatever it asks for, most of what it asks at once is refused.
        said = site.command_line("one", endpoint_url=busy.endpoint_url)("prune --yes").succeeded()
        assert busy.refused > 0
    assert f"{DAYS - KEPT} backups removed" in said.out
    assert site.whole() == site.ids[:KEPT]
    assert site.left() == set(site.ids[:KEPT])


@pytest.mark.slow
def test_after_a_death_nothing_that_stays_is_harmed_and_no_half_is_shown(site: Site) -> None:
    with (
        BusyProxy(server_port(site), most_at_once=8, seconds=0.3) as slow,
        pruning(site.command_line("one", endpoint_url=slow.endpoint_url)) as one,
    ):
        wait_for_the_first(site, one)
        one.kill()
        one.communicate(timeout=60)
    shown = site.whole()
    assert set(site.ids[:KEPT]) <= set(shown) <= set(site.ids)
    other = site.command_line("two")
    other("repo unlock --break --repository far").succeeded()
    other("prune --yes").succeeded()
    assert site.whole() == site.ids[:KEPT]
    # What is whole and marked may be in the hands of a run that lives: it goes when that one must be dead.
    for backup_id in site.left() - set(site.ids[:KEPT]):
        keys = {found.key.rpartition("/")[2] for found in site.storage.list(f"{JOB}/{backup_id}/")}
        assert set(PAYLOADS) < keys
        assert any(name.startswith("removal-") for name in keys)


@pytest.mark.slow
def test_what_is_locked_goes_when_its_time_has_come(tmp_path: pathlib.Path, server: S3Server) -> None:
    site = Site(tmp_path, server, bucket="locked")
    locked = site.ids[-1]
    until = datetime.datetime.now(tz=datetime.UTC).replace(microsecond=0) + datetime.timedelta(seconds=8)
    keys = [found.key for found in site.storage.list(f"{JOB}/{locked}/")]
    assert not site.storage.extend_lock(keys, until=until)
    one = site.command_line("one")
    said = one("prune --yes --versions all").succeeded()
    assert "under lock, and tried again when it ends" in said.out
    assert f"{format_time(until)[:10]} {format_time(until)[11:16]}Z" in said.out
    assert site.whole() in (site.ids[:KEPT], [*site.ids[:KEPT], locked])
    time.sleep(max(0.0, (until - datetime.datetime.now(tz=datetime.UTC)).total_seconds()) + 1)
    one("prune --yes --versions all").succeeded()
    assert site.left() == set(site.ids[:KEPT])
    assert {found.key.split("/")[3] for found in site.storage.versions(f"{JOB}/")} == set(site.ids[:KEPT])


@pytest.mark.slow
def test_backups_that_come_while_it_reads_and_removes_stay(site: Site) -> None:
    """The bucket changes under its listings all the time."""
    made: list[str] = []
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            backup_id = new_backup_id(now=datetime.datetime.now(tz=datetime.UTC))
            put_backup(site.storage, described(backup_id, labels={"job": JOB}, repositories=("far",)))
            made.append(backup_id)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for _turn in range(3):
            site.command_line("one")("prune --yes").succeeded()
    finally:
        stop.set()
        thread.join()
    assert len(made) > 3
    shown = site.whole()
    assert set(made) <= set(shown), "nothing proved them yet, and they are the newest"
    assert set(site.ids[:KEPT]) - set(shown) <= {site.ids[0]}, "the day of the newest has a newer one by now"


def server_port(site: Site) -> int:
    """The port of the server itself."""
    return site.server.port
