# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A day with the credentials of docs/iam: each command of Lifeboat with those that the page on object lock gives it.

The S3 server is a real one that decides the policies itself, the database as well.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import socket
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import new_backup_id
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.redis import RedisServer
from tests.conformance.s3_places import open_bucket
from tests.support.command_line import CommandLine, Said
from tests.support.copies import described, put_backup, put_verification
from tests.support.policy_server import BUCKET, PREFIX, PolicyServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

JOB = "family/cache/rdb"
DAY = datetime.timedelta(days=1)


class Day:
    """The command line; *become* changes whose credentials it has."""

    def __init__(self, folder: pathlib.Path, server: PolicyServer, redis: RedisServer) -> None:
        self.folder = folder
        self.server = server
        backup = {"kind": "rdb", "schedule": "0 0 * * *", "repositories": ["offsite"], "keep": {"within": "30d"}}
        repository = {
            "type": "s3",
            "bucket": BUCKET,
            "prefix": PREFIX,
            "region": server.region,
            "endpoint_url": server.endpoint_url,
            "credentials": {"file": str(folder / "s3.env")},
            "object_lock": {"mode": "governance", "retain": "policy"},
            "versions": "delete",
        }
        source = {
            "name": "cache",
            "engine": "redis",
            "connection": {"host": "127.0.0.1", "port": redis.port},
            "backups": [backup],
        }
        description = {
            "lifeboat_repositories": {
                "local": {"type": "file", "path": str(folder / "local"), "create": True},
                "offsite": repository,
            },
            "lifeboat_settings": {
                "state_directory": str(folder / "state"),
                "scratch_directory": str(folder / "scratch"),
            },
            "lifeboat_services": [{"name": "family", "objectives": {"rpo": "1d", "rto": "2h"}, "sources": [source]}],
        }
        (folder / "config.json").write_text(json.dumps(description))

    def become(self, name: str) -> None:
        who = self.server.users[name]
        text = f"AWS_ACCESS_KEY_ID={who.access_key}\nAWS_SECRET_ACCESS_KEY={who.secret_key}\n"
        (self.folder / "s3.env").write_text(text)

    def lifeboat(self, command: str, *more: str) -> Said:
        return CommandLine(configuration=self.folder / "config.json")(command, *more)

    def ids(self) -> set[str]:
        document = self.lifeboat("list --json --repository offsite").succeeded().document
        return {backup["id"] for backup in document["backups"]}


@pytest.fixture
def day(tmp_path: pathlib.Path) -> t.Iterator[Day]:
    with PolicyServer() as server, RedisServer(directory=tmp_path / "redis") as redis:
        with redis.client() as client:
            client.set("greeting", "hello")
        yield Day(tmp_path, server, redis)


def test_everybody_can_do_his_work_and_nobody_that_of_others(day: Day) -> None:
    everything = open_bucket(day.server, BUCKET, PREFIX)
    now = SystemClock().now()
    old = [new_backup_id(now=now - age * DAY) for age in (60, 50, 40)]
    for backup_id in old:
        made = described(
            backup_id, service="family", source="cache", kind="rdb", engine="redis", repositories=("offsite",)
        )
        put_backup(everything, made)
        put_verification(everything, made, {"offsite": 4})
    locked = f"family/cache/rdb/{old[1]}/dump.archive.zst"
    assert everything.extend_lock([locked], until=now + 9 * DAY) == {}

    # The host makes backups, and sees all that there are.
    day.become("host")
    made_now = []
    for _number in range(3):
        before = day.ids()
        day.lifeboat(f"backup {JOB}").succeeded()
        made_now += sorted(day.ids() - before)
    assert len(made_now) == 3
    # Everything of it is locked, from the moment it was stored, as long as the policy keeps it.
    for found in everything.list(f"family/cache/rdb/{made_now[0]}/"):
        lock = everything.lock_state(found.key)
        assert lock is not None, found.key
        assert lock.until is not None
        assert abs(lock.until - now - 30 * DAY) < DAY / 24, found.key
    # With what was stolen from it nothing can be removed.
    day.lifeboat("prune --yes")
    assert day.ids() == {*old, *made_now}

    # The verifier proves them.
    day.become("reader")
    for backup_id in made_now:
        day.lifeboat(f"verify {backup_id}").succeeded()

    # Somebody wants one to stay for a year.
    day.become("keeper")
    until = (now + 365 * DAY).strftime("%Y-%m-%dT00:00:00Z")
    day.lifeboat(f"pin {made_now[0]} --reason audit --until {until}").succeeded()
    state = everything.lock_state(f"family/cache/rdb/{made_now[0]}/manifest.json")
    assert state is not None
    assert state.until is not None
    assert state.until - now > 363 * DAY

    # The pruner removes what the policy doesn't keep, and defers what is locked.
    day.become("pruner")
    done = day.lifeboat("prune --yes --allow share")
    assert day.ids() == set(made_now), f"{done.out}{done.err}"
    left = {version.key for version in everything.versions("family/cache/rdb/") if not version.is_marker}
    assert locked in left
    assert not any(old[0] in key for key in left if not key.rpartition("/")[2].startswith("removal-"))
    assert old[1] in f"{done.out}{done.err}"
    done.ended(0)

    # And what was made can be restored by whoever may read it.
    day.become("reader")
    day.lifeboat(f"verify {made_now[-1]}").succeeded()


def test_a_host_goes_on_beside_what_it_may_not_clean_up(day: Day) -> None:
    """What a run that died has left: with these credentials only its uploads can be ended."""
    everything = open_bucket(day.server, BUCKET, PREFIX)
    dead = new_backup_id(now=SystemClock().now() - DAY / 2)
    folder = f"family/cache/rdb/{dead}"
    started = {"id": dead, "host": socket.gethostname()}
    everything.put(f"{folder}/started.json", json.dumps(started).encode())
    everything.put(f"{folder}/dump.rdb.zst", b"half of it")
    upload = everything.writer(f"{folder}/more.zst")
    upload.write(bytes(9 * 1024 * 1024))
    assert len(list(everything.unfinished(f"{folder}/"))) == 1
    day.become("host")
    day.lifeboat(f"backup {JOB}").succeeded()
    assert len(day.ids()) == 1
    assert list(everything.unfinished(f"{folder}/")) == []
    assert {f"{folder}/started.json", f"{folder}/dump.rdb.zst"} <= {info.key for info in everything.list(f"{folder}/")}
    upload.abort()


def test_copies_come_with_credentials_of_their_own(day: Day) -> None:
    near = open_storage(
        {"type": "file", "path": str(day.folder / "local"), "create": True},
        name="local",
        clock=SystemClock(),
        runner=SubprocessRunner(),
    )
    made = described(
        new_backup_id(now=SystemClock().now() - DAY),
        service="family",
        source="cache",
        kind="rdb",
        engine="redis",
        repositories=("local", "offsite"),
    )
    put_backup(near, made)
    put_verification(near, made, {"local": 4})
    day.become("reader")
    assert day.ids() == set()
    day.lifeboat("copy --to offsite").ended(3)
    day.become("copier")
    assert day.ids() == set()
    day.lifeboat("copy --to offsite").succeeded()
    assert day.ids() == {made.backup_id}
    everything = open_bucket(day.server, BUCKET, PREFIX)
    names = {info.key.rpartition("/")[2] for info in everything.list(made.folder.key(""))}
    assert {"manifest.json", "dump.archive.zst"} <= names
    assert any(name.startswith("verification-") for name in names)
    day.lifeboat("copy --to offsite").succeeded()
