# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service with three databases, from the first backup to a recovery as a set: only what a person would type.

Each database is written to before and after a label and a time. The recoveries must hold all that was acknowledged
before their point, and nothing of what came after it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import pathlib
import re
import shutil
import sys
import tempfile
import time
import typing as t

import jsonschema
import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.status_schema import STATUS_SCHEMA
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    archive_command,
    write_archive_script,
)
from sandbox.mongodb import MongoReplicaSet
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from sandbox.redis import RedisServer
from tests.integration.ansible.plays import Played, run_modules, run_playbook
from tests.support.command_line import CommandLine, describe

Json = dict[str, t.Any]
LABEL = "before-upgrade"

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Site:
    """The three servers, what was written when, and ``lifeboat`` with their description."""

    folder: pathlib.Path
    postgresql: PostgreSQLServer
    mongodb: MongoReplicaSet
    redis: RedisServer
    lifeboat: CommandLine
    moments: dict[str, datetime.datetime] = dataclasses.field(default_factory=dict)

    @property
    def directory(self) -> pathlib.Path:
        """Where plays keep what is theirs."""
        return self.folder

    def write(self, word: str) -> None:
        """One row, one document, one key; all are acknowledged when this returns."""
        self.postgresql.query(f"INSERT INTO ledger VALUES ('{word}')")
        with self.mongodb.client() as client:
            client["shop"]["ledger"].insert_one({"_id": word})
        self.redis.client().sadd("ledger", word)
        (self.folder / "settings" / "shop.conf").write_text(f"{word}\n")

    def turn(self) -> datetime.datetime:
        """Wait until the second is over: Redis tells time by the second. Returns the last whole one."""
        second = datetime.datetime.now(tz=datetime.UTC).replace(microsecond=0)
        while datetime.datetime.now(tz=datetime.UTC) < second + datetime.timedelta(seconds=1):
            time.sleep(0.01)
        return second

    def ship(self) -> None:
        self.postgresql.query("SELECT pg_switch_wal()")
        deadline = time.monotonic() + 60
        while self.postgresql.query(
            "SELECT pg_walfile_name(pg_current_wal_lsn()) <= coalesce(last_archived_wal, '') OR "
            "(SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') > 0 FROM pg_stat_archiver"
        )[0][0]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.lifeboat("ship --quiet").succeeded()


@contextlib.contextmanager
def three_servers() -> t.Iterator[Site]:
    """Started and described, with nothing in them."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-set-"))
    folder.chmod(0o755)
    spool = folder / "wal"
    spool.mkdir()
    user = operating_system_user()
    if user is not None:
        shutil.chown(spool, user)
    write_archive_script(str(folder / "archive-wal"))
    settings = {
        "archive_mode": "on",
        "archive_command": archive_command(script=str(folder / "archive-wal"), spool=str(spool)),
        "archive_timeout": "60s",
    }
    try:
        with (
            PostgreSQLServer(settings=settings) as postgresql,
            MongoReplicaSet() as mongodb,
            RedisServer(append_only=True) as redis,
        ):
            redis.client().config_set("aof-timestamp-enabled", "yes")
            lifeboat = describe(folder / "lifeboat.json", _description(folder, postgresql, mongodb, redis))
            yield Site(folder=folder, postgresql=postgresql, mongodb=mongodb, redis=redis, lifeboat=lifeboat)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def site() -> t.Iterator[Site]:
    with three_servers() as made:
        _story(made)
        yield made


def _description(
    folder: pathlib.Path, postgresql: PostgreSQLServer, mongodb: MongoReplicaSet, redis: RedisServer
) -> Json:
    (folder / "repository").mkdir()
    (folder / "settings").mkdir()
    stored = {"repositories": ["local"], "keep": {"within": "7d"}}
    return {
        "lifeboat_settings": {"state_directory": str(folder / "state")},
        "lifeboat_repositories": {"local": {"type": "file", "path": str(folder / "repository")}},
        "lifeboat_services": [
            {
                "name": "shop",
                "sources": [
                    {
                        "name": "main",
                        "engine": "postgresql",
                        "connection": {
                            "host": "127.0.0.1",
                            "port": postgresql.port,
                            "user": postgresql.superuser,
                            "database": "postgres",
                        },
                        "backups": [
                            {"kind": "base", **stored},
                            {
                                "kind": "wal",
                                "triggers": ["continuous"],
                                "options": {"spool_directory": str(folder / "wal")},
                                **stored,
                            },
                        ],
                    },
                    {
                        "name": "documents",
                        "engine": "mongodb",
                        "connection": {"uri": mongodb.uri},
                        "backups": [
                            {"kind": "full", **stored},
                            {"kind": "oplog", "triggers": ["continuous"], **stored},
                        ],
                    },
                    {
                        "name": "cache",
                        "engine": "redis",
                        "connection": {"port": redis.port},
                        "backups": [{"kind": "aof-log", "triggers": ["continuous"], **stored}],
                    },
                    {
                        "name": "settings",
                        "engine": "files",
                        "connection": {"paths": [str(folder / "settings")]},
                        "backups": [{"kind": "config", **stored}],
                    },
                ],
            }
        ],
    }


def _story(site: Site) -> None:
    """first | backups | second | LABEL | third | time | fourth, all shipped."""
    site.postgresql.query("CREATE TABLE ledger (word text PRIMARY KEY)")
    site.lifeboat("ship --quiet").succeeded()  # ties the spool to the cluster, and begins the other streams
    site.write("first")
    site.lifeboat("backup shop/main/base shop/documents/full --quiet").succeeded()
    site.write("second")
    site.lifeboat("backup shop/settings --quiet").succeeded()
    site.turn()
    site.lifeboat(f"label shop {LABEL}").succeeded()
    site.turn()
    site.write("third")
    site.moments["third"] = site.turn()
    site.write("fourth")
    site.lifeboat("backup shop/settings --quiet").succeeded()
    site.turn()
    site.ship()


def _options(site: Site, *, prefix: bool, name: str) -> tuple[list[str], dict[str, int]]:
    ports = {"main": free_port(), "cache": free_port()}
    given = {
        "main": [f"data_directory={site.folder / name}-main", f"port={ports['main']}", "start=true"],
        "documents": [f"suffix=_{name}"],
        "cache": [f"data_directory={site.folder / name}-cache", f"port={ports['cache']}", "start=true"],
    }
    if prefix:
        given["settings"] = [f"data_directory={site.folder / name}-settings"]
    words = []
    for source, options in given.items():
        for option in options:
            words += ["-o", f"{source}.{option}" if prefix else f"{source}:{option}"]
    return words, ports


def _in_postgresql(site: Site, folder: pathlib.Path, port: int) -> set[str]:
    import subprocess

    command = [str(site.postgresql.bin_directory / "psql"), "-h", str(folder), "-p", str(port), "-U"]
    command += [site.postgresql.superuser, "-d", "postgres", "-Atc", "SELECT word FROM ledger"]
    user = operating_system_user()
    prefix = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if user else []
    return set(subprocess.run([*prefix, *command], capture_output=True, text=True, check=True).stdout.split())


def _stop(site: Site, folder: pathlib.Path) -> None:
    import subprocess

    user = operating_system_user()
    prefix = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if user else []
    command = [str(site.postgresql.bin_directory / "pg_ctl"), "-D", str(folder), "-m", "immediate", "stop"]
    subprocess.run([*prefix, *command], capture_output=True, check=False)


def test_windows_say_what_can_be_reached(site: Site) -> None:
    said = site.lifeboat("windows --json").succeeded()
    found = {one["source"]: one for one in said.document["sources"]}
    assert set(found) == {"shop/main", "shop/documents", "shop/cache"}
    for source in found.values():
        assert len(source["windows"]) == 1, source
        assert source["windows"][0]["begins"] < format_time(site.moments["third"]) <= source["windows"][0]["ends"], (
            source
        )


def test_the_status_says_how_far_one_could_go_back(site: Site) -> None:
    said = site.lifeboat("status")
    assert "shop/main: can be recovered to any moment from" in said.out, said.out
    assert "shop/cache: can be recovered" in said.out


def test_the_status_tells_what_would_be_lost_by_what_the_streams_have_stored(site: Site) -> None:
    found = site.lifeboat("status --json").document
    jsonschema.Draft202012Validator(STATUS_SCHEMA).validate(found)
    sources = {one["source"]: one for one in found["sources"] if one["engine"] != "files"}
    assert {name: one["rpo"]["by"] for name, one in sources.items()} == {
        "shop/main": "shop/main/wal",
        "shop/documents": "shop/documents/oplog",
        "shop/cache": "shop/cache/aof-log",
    }
    for one in sources.values():
        assert one["rpo"]["point"] >= format_time(site.moments["third"].replace(microsecond=0)), one
        assert one["window"]["windows"] == 1
    streams = {one["job"]: one for one in found["streams"]}
    assert streams["shop/documents/oplog"]["oplog_hours"] > 0
    assert {one["spool"]["segments"] for one in streams.values()} == {0}
    metrics = site.lifeboat("metrics").succeeded().out
    assert 'lifeboat_stream_oplog_window_seconds{lifeboat_job="shop/documents/oplog"' in metrics
    assert metrics.count("lifeboat_source_recoverable_timestamp_seconds{") == 4


def test_a_label_brings_all_three_to_the_same_instant(site: Site) -> None:
    words, ports = _options(site, prefix=True, name="labelled")
    main, settings = site.folder / "labelled-main", site.folder / "labelled-settings"
    plan = site.lifeboat(f"recover shop --to-label {LABEL} --dry-run", *words).succeeded()
    assert "replays" in plan.out
    assert not main.exists()
    try:
        said = site.lifeboat(f"recover shop --to-label {LABEL} --quiet --json", *words).succeeded()
        assert said.document["label"]["skew_seconds"] < 10
        assert _in_postgresql(site, main, ports["main"]) == {"first", "second"}
        with site.mongodb.client() as client:
            assert {one["_id"] for one in client["shop_labelled"]["ledger"].find()} == {"first", "second"}
        assert _members(ports["cache"]) == {"first", "second"}
        assert [path.read_text() for path in settings.rglob("shop.conf")] == ["second\n"]
    finally:
        _stop(site, main)
        _shut(ports["cache"])


def test_a_set_is_not_begun_where_a_part_has_nowhere_to_go(site: Site) -> None:
    words, _ports = _options(site, prefix=True, name="lost")
    said = site.lifeboat(f"recover shop --to-label {LABEL}", *words[:-2])
    said.refused("request.invalid", hint="data_directory")
    assert not (site.folder / "lost-main").exists()
    listed = site.lifeboat("label shop --list").succeeded()
    assert re.search(r"settings \(files\): \S+, as of \S+, [0-9.]+ m?s before", listed.out), listed.out


def test_each_can_be_brought_to_a_time(site: Site) -> None:
    words, ports = _options(site, prefix=False, name="timed")
    moment = format_time(site.moments["third"] + datetime.timedelta(milliseconds=999))
    main = site.folder / "timed-main"
    own = {
        source: [word.partition(":")[2] for word in words if word.startswith(f"{source}:")]
        for source in ("main", "documents", "cache")
    }
    try:
        for source, options in own.items():
            at = moment if source == "main" else format_time(site.moments["third"])
            more = [part for option in options for part in ("-o", option)]
            site.lifeboat(f"recover shop/{source} --to-time {at} --quiet", *more).succeeded()
        expected = {"first", "second", "third"}
        assert _in_postgresql(site, main, ports["main"]) == expected
        with site.mongodb.client() as client:
            assert {one["_id"] for one in client["shop_timed"]["ledger"].find()} == expected
        assert _members(ports["cache"]) == expected
    finally:
        _stop(site, main)
        _shut(ports["cache"])


@pytest.mark.parametrize("source", ["main", "documents", "cache"])
def test_what_can_not_be_reached_is_refused_with_what_can(site: Site, source: str) -> None:
    said = site.lifeboat(f"recover shop/{source} --to-time 2001-01-01T00:00:00Z --dry-run -o suffix=_x --json")
    assert said.status == 2, said.err
    said = site.lifeboat(f"recover shop/{source} --to-time 2999-01-01T00:00:00Z --dry-run")
    said.refused("recovery.target_invalid", hint="--latest")


def test_a_segment_that_is_nowhere_whole_is_named_with_what_can_be_reached(site: Site) -> None:
    found = site.lifeboat("windows shop/main --json").succeeded().document["sources"][0]["windows"][0]
    last = found["last"].partition("/")[2]
    folder = site.folder / "repository" / "shop" / "main" / "wal"
    segment = max(folder.rglob("segments/*/0000000100*.zst"), key=lambda path: path.name)
    whole = segment.read_bytes()
    segment.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    try:
        said = site.lifeboat(
            f"recover shop/main --to-lsn {last} --dry-run --json -o port=5599 -o start=true "
            f"-o data_directory={site.folder / 'never'}"
        )
        error = said.ended(2).document["error"]
        assert error["code"] == "recovery.target_unreachable", error
        assert segment.name.partition(".")[0] in error["message"]
        assert error["details"]["before"], error
        assert not (site.folder / "never").exists()
    finally:
        segment.write_bytes(whole)


def test_damage_is_found_with_the_point_before_it(site: Site) -> None:
    with site.mongodb.client() as client:
        client["shop"]["precious"].insert_many({"_id": number} for number in range(20))
        client["shop"]["precious"].drop()
    site.turn()
    site.lifeboat("ship shop/documents/oplog --quiet").succeeded()
    now = format_time(datetime.datetime.now(tz=datetime.UTC))
    said = site.lifeboat(f"find-damage shop/documents --around {now} --span 10m --json").succeeded()
    (drop,) = [one for one in said.document["damage"] if one["kind"] == "drop"]
    assert drop["namespaces"] == ["shop.precious"]
    point = drop["before_operation"]
    site.lifeboat(f"recover shop/documents --before-operation {point} --quiet -o suffix=_undamaged").succeeded()
    with site.mongodb.client() as client:
        assert client["shop_undamaged"]["precious"].count_documents({}) == 20
    site.lifeboat(f"find-damage shop/main --around {now}").refused("job.kind_not_runnable")


def test_a_play_labels_the_service(site: Site) -> None:
    label = ["-e", "lifeboat_label_service=shop", "-e", "lifeboat_label=by-a-play"]
    assert play(site, "label", *label, "--check").status == 0
    assert "by-a-play" not in site.lifeboat("label shop --list").succeeded().out
    played = play(site, "label", *label)
    assert played.status == 0, played.output
    listed = site.lifeboat("label shop --list --json").succeeded().document["labels"]
    (made,) = [one for one in listed if one["name"] == "by-a-play"]
    assert [one["source"] for one in made["points"]] == ["cache", "documents", "main"]
    assert [one["source"] for one in made["files"]] == ["settings"]
    again = play(site, "label", *label)
    assert again.status != 0
    assert "recovery.label_exists" in again.output


def test_a_play_recovers_to_a_time(site: Site) -> None:
    at = format_time(site.moments["third"])
    wanted = {"lifeboat_recover": "shop/documents", "lifeboat_recover_to": at}
    options = {"lifeboat_restore_options": {"suffix": "_played"}}
    planned = play(site, "pitr", "-e", json.dumps({**wanted, **options}), "--check")
    assert planned.status == 0, planned.output
    assert "replays" in planned.output
    played = play(site, "pitr", "-e", json.dumps({**wanted, **options}))
    assert played.status == 0, played.output
    with site.mongodb.client() as client:
        assert {one["_id"] for one in client["shop_played"]["ledger"].find()} == {"first", "second", "third"}


def test_a_play_refuses_a_moment_that_nobody_reaches(site: Site) -> None:
    wanted = {"lifeboat_recover": "shop/documents", "lifeboat_recover_to": {"optime": "1:1"}}
    played = play(site, "pitr", "-e", json.dumps(wanted), "--check")
    assert played.status != 0
    assert "recovery.target_unreachable" in played.output


def test_the_module_says_the_same_windows_as_the_command(site: Site) -> None:
    said = site.lifeboat("windows shop/documents --json").succeeded().document["sources"][0]
    asked = {"service": "shop", "source": "documents", "engine": "mongodb"}
    repository = {"name": "local", "type": "file", "path": str(site.folder / "repository")}
    answer = run_modules(site, ("recovery_windows", {**asked, "repositories": [repository]}))[0]
    assert answer["changed"] is False
    assert answer["windows"] == said["windows"]


def play(site: Site, name: str, *arguments: str) -> Played:
    """One of our playbooks, on a host with the site's description."""
    description = json.loads(site.lifeboat.configuration.read_text())
    host = {**description, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = site.folder / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"one": host}}}))
    return run_playbook(site, "--inventory", str(inventory), *arguments, playbook=f"playbooks/{name}.yml")


def _members(port: int) -> set[str]:
    import redis

    client = redis.Redis(port=port, decode_responses=True)
    try:
        return set(t.cast("set[str]", client.smembers("ledger")))
    finally:
        client.close()


def _shut(port: int) -> None:
    import redis

    client = redis.Redis(port=port)
    try:
        client.shutdown(nosave=True)
    except redis.ConnectionError:
        pass
    finally:
        client.close()
