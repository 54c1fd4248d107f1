# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three databases are written to while their shippers are killed and the bucket is away; then all is recovered from it.

Each writer numbers what it writes, single and in transactions of several parts, and notes when it was sent and when it
was acknowledged. From the bucket alone, wherever a recovery ends: everything that was acknowledged by then is there,
nothing that was sent later is, no transaction is there in part, and nothing is missing in between.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time
import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time, parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    archive_command,
    write_archive_script,
)
from sandbox.mongodb import MongoReplicaSet
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, as_user, operating_system_user
from sandbox.redis import RedisServer
from sandbox.s3 import S3Server
from tests.support.command_line import CommandLine, describe
from tests.support.followers import Followers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Json = dict[str, t.Any]
STREAMS = {"main": "wal", "documents": "oplog", "cache": "aof-log"}
JOBS = {source: f"shop/{source}/{kind}" for source, kind in STREAMS.items()}
SECOND = datetime.timedelta(seconds=1)


def now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.UTC)


@dataclass(frozen=True)
class Entry:
    """One acknowledged write of so many parts, which are there together or not at all."""

    number: int
    parts: int
    sent: datetime.datetime
    answered: datetime.datetime


@dataclass
class Writer:
    """Writes one entry after the other in a thread of its own, until the block ends."""

    name: str
    write: t.Callable[[list[str]], t.Any]
    chance: random.Random
    entries: list[Entry] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> t.Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                number = len(self.entries)
                parts = self.chance.choice([1, 1, 2, 7])
                sent = now()
                self.write([f"{number}/{part}" for part in range(parts)])
                self.entries.append(Entry(number, parts, sent, now()))
                self._stop.wait(self.chance.random() / 25)
        except BaseException as error:  # noqa: BLE001 - told to the test at the end
            self._errors.append(error)

    def check(self, found: t.Iterable[str], *, through: datetime.datetime | None) -> None:
        """Hold *found*, the parts of a recovered database, against what was written *through* a moment; None: all."""
        parts: dict[int, int] = {}
        for one in found:
            number = int(one.partition("/")[0])
            parts[number] = parts.get(number, 0) + 1
        assert sorted(parts) == list(range(len(parts))), f"{self.name}: something is missing in between"
        for entry in self.entries:
            where = f"{self.name}: {entry} at {through}"
            assert parts.get(entry.number, 0) in (0, entry.parts), f"{where} is there in part"
            if through is None or entry.answered <= through:
                assert entry.number in parts, f"{where} was acknowledged and is missing"
            if through is not None and entry.sent > through:
                assert entry.number not in parts, f"{where} was sent later and is there"


@dataclass
class Site:
    """What is left after the trouble: the bucket, the writers' notes, and the description."""

    folder: pathlib.Path
    postgresql: PostgreSQLServer
    mongodb: MongoReplicaSet
    lifeboat: CommandLine
    writers: dict[str, Writer]
    windows: dict[str, Json]
    outage: tuple[datetime.datetime, datetime.datetime]
    copies: int = 0

    @contextlib.contextmanager
    def recovered(self, source: str, *target: str) -> t.Iterator[set[str]]:
        """The parts that a copy beside has, which was recovered from the bucket alone; it is gone afterwards."""
        self.copies += 1
        name = f"copy{self.copies}"
        folder, port = self.folder / name, free_port()
        options = {
            "main": ["-o", f"data_directory={folder}", "-o", f"port={port}", "-o", "start=true"],
            "documents": ["-o", f"suffix=_{name}"],
            "cache": ["-o", f"data_directory={folder}"],
        }[source]
        said = self.lifeboat(
            f"recover shop/{source} --repository offsite --quiet --json", *target, *options
        ).succeeded()
        restore = said.document["restore"]
        try:
            yield {"main": self._rows, "documents": self._documents, "cache": self._members}[source](
                folder, port, f"shop_{name}"
            )
        finally:
            self.lifeboat(f"restore --quiet --roll-back {restore['id']} --confirm", restore["target"]).succeeded()

    def _rows(self, folder: pathlib.Path, port: int, _name: str) -> set[str]:
        command = [*as_user(operating_system_user()), str(self.postgresql.program("psql")), "-XAtq", "-h", str(folder)]
        command += ["-p", str(port), "-U", self.postgresql.superuser, "-d", "postgres", "-c", "SELECT part FROM ledger"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
        return set(done.stdout.split())

    def _documents(self, _folder: pathlib.Path, _port: int, name: str) -> set[str]:
        with self.mongodb.client() as client:
            return {str(one["_id"]) for one in client[name]["ledger"].find()}

    def _members(self, folder: pathlib.Path, _port: int, _name: str) -> set[str]:
        import redis

        with redis.Redis(unix_socket_path=str(folder / "redis.sock"), decode_responses=True) as client:
            return set(t.cast("set[str]", client.smembers("ledger")))

    def moments(self, source: str, count: int) -> list[datetime.datetime]:
        """Whole seconds inside of the window: in the outage, just after it, and others at random."""
        window = self.windows[source]
        begins, ends = (parse_time(window[key]) for key in ("begins", "ends"))
        first = begins.replace(microsecond=0) + 2 * SECOND
        last = ends.replace(microsecond=0) - SECOND
        middle = self.outage[0] + (self.outage[1] - self.outage[0]) / 2
        chosen = [middle.replace(microsecond=0), self.outage[1].replace(microsecond=0)]
        span = int((last - first).total_seconds())
        chance = self.writers[source].chance
        chosen += [first + chance.randrange(span) * SECOND for _turn in range(count - len(chosen))]
        assert all(first <= one <= last for one in chosen), (window, self.outage)
        return chosen


def _description(
    folder: pathlib.Path, postgresql: PostgreSQLServer, mongodb: MongoReplicaSet, redis: RedisServer, s3: S3Server
) -> Json:
    (folder / "repository").mkdir()
    (folder / "uri").touch(mode=0o600)
    (folder / "uri").write_text(mongodb.uri, encoding="utf-8")
    stored = {"repositories": ["local", "offsite"], "keep": {"within": "7d"}}

    def stream(source: str, **options: t.Any) -> Json:
        return {"kind": STREAMS[source], "triggers": ["continuous"], "options": options, **stored}

    address = {"host": "127.0.0.1", "port": postgresql.port, "user": postgresql.superuser, "database": "postgres"}
    return {
        "lifeboat_settings": {"state_directory": str(folder / "state")},
        "lifeboat_repositories": {
            "local": {"type": "file", "path": str(folder / "repository")},
            "offsite": {
                "type": "s3",
                "bucket": "lifeboat",
                "prefix": "trouble",
                "endpoint_url": s3.endpoint_url,
                "region": s3.region,
                "credentials": {"env": "TROUBLE"},
            },
        },
        "lifeboat_services": [
            {
                "name": "shop",
                "sources": [
                    {
                        "name": "main",
                        "engine": "postgresql",
                        "connection": address,
                        "backups": [
                            {"kind": "base", **stored},
                            stream("main", spool_directory=str(folder / "wal")),
                        ],
                    },
                    {
                        "name": "documents",
                        "engine": "mongodb",
                        "connection": {"uri_file": str(folder / "uri")},
                        "backups": [{"kind": "full", **stored}, stream("documents", capture_seconds=1)],
                    },
                    {
                        "name": "cache",
                        "engine": "redis",
                        "connection": {"port": redis.port},
                        "backups": [stream("cache", capture_seconds=1)],
                    },
                ],
            }
        ],
    }


@contextlib.contextmanager
def _writers(
    postgresql: PostgreSQLServer, mongodb: MongoReplicaSet, redis: RedisServer, seed: int
) -> t.Iterator[dict[str, Writer]]:
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(contextlib.closing(postgresql.connect()))
        connection.autocommit = False
        client = stack.enter_context(mongodb.client(w="majority"))
        keys = redis.client()
        stack.callback(keys.close)

        def insert_rows(parts: list[str]) -> None:
            with connection.cursor() as cursor:
                for part in parts:
                    cursor.execute("INSERT INTO ledger VALUES (%s)", (part,))
            connection.commit()

        def insert_documents(parts: list[str]) -> None:
            if len(parts) == 1:
                client["shop"]["ledger"].insert_one({"_id": parts[0]})
                return
            with client.start_session() as session, session.start_transaction():
                for part in parts:
                    client["shop"]["ledger"].insert_one({"_id": part}, session=session)

        def add_members(parts: list[str]) -> None:
            with keys.pipeline(transaction=len(parts) > 1) as pipeline:
                for part in parts:
                    pipeline.sadd("ledger", part)
                pipeline.execute()

        writing = {"main": insert_rows, "documents": insert_documents, "cache": add_members}
        yield {name: Writer(name, write, random.Random(f"{seed} {name}")) for name, write in writing.items()}


@pytest.fixture(scope="module")
def site() -> t.Iterator[Site]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lb-"))
    folder.chmod(0o755)
    spool, user = folder / "wal", operating_system_user()
    spool.mkdir()
    if user is not None:
        shutil.chown(spool, user)
    script = folder / "archive-wal"
    write_archive_script(str(script))
    settings = {"archive_mode": "on", "archive_command": archive_command(script=str(script), spool=str(spool))}
    # A transaction of several documents takes several entries of the oplog.
    parameters = {"maxNumberOfTransactionOperationsInSingleOplogEntry": "2"}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        postgresql = stack.enter_context(PostgreSQLServer(settings=settings))
        mongodb = stack.enter_context(MongoReplicaSet(parameters=parameters))
        redis = stack.enter_context(RedisServer(append_only=True))
        s3 = stack.enter_context(S3Server(buckets=("lifeboat",)))
        with redis.client() as client:
            client.config_set("aof-timestamp-enabled", "yes")
        variables = stack.enter_context(pytest.MonkeyPatch.context())
        variables.setenv("TROUBLE_ACCESS_KEY_ID", s3.administrator.access_key)
        variables.setenv("TROUBLE_SECRET_ACCESS_KEY", s3.administrator.secret_key)
        lifeboat = describe(folder / "config.json", _description(folder, postgresql, mongodb, redis, s3))
        postgresql.query("CREATE TABLE ledger (part text PRIMARY KEY)")
        with mongodb.client() as client:
            client["shop"].create_collection("ledger")
        lifeboat("ship --quiet").succeeded()  # ties the spool to the cluster, and begins the other streams
        lifeboat("backup shop/main/base shop/documents/full --quiet").succeeded()
        seed = int(os.environ.get("LIFEBOAT_TROUBLE_SEED") or now().timestamp())
        print(f"LIFEBOAT_TROUBLE_SEED={seed}")
        writers = stack.enter_context(_writers(postgresql, mongodb, redis, seed))
        followers = Followers(lifeboat.configuration, JOBS)
        stack.callback(followers.end)
        windows, outage = _story(postgresql, lifeboat, s3, followers, writers, chance=random.Random(seed))
        followers.end()
        yield Site(folder, postgresql, mongodb, lifeboat, writers, windows, outage)


def _story(
    postgresql: PostgreSQLServer,
    lifeboat: CommandLine,
    s3: S3Server,
    followers: Followers,
    writers: dict[str, Writer],
    *,
    chance: random.Random,
) -> tuple[dict[str, Json], tuple[datetime.datetime, datetime.datetime]]:
    """Deaths, an outage with a death in its middle, and all of it drained; the windows afterwards."""
    with contextlib.ExitStack() as stack:
        for writer in writers.values():
            stack.enter_context(writer)
        for source in STREAMS:
            followers.start(source)
        for _turn in range(3):
            _kill_all(postgresql, followers, pause=lambda: chance.uniform(0.2, 0.9))
        s3.stop()
        went = now()
        _let_pass(postgresql, seconds=3)
        _kill_all(postgresql, followers, pause=lambda: 0.1)
        _let_pass(postgresql, seconds=3)
        s3.start()
        came = now()
        assert followers.deaths == 12
        return _drained(postgresql, lifeboat, after=came + 3 * SECOND), (went, came)


def _kill_all(postgresql: PostgreSQLServer, followers: Followers, *, pause: t.Callable[[], float]) -> None:
    for source in STREAMS:
        time.sleep(pause())
        postgresql.query("SELECT pg_switch_wal()")
        followers.kill(source)
        followers.start(source)


def _let_pass(postgresql: PostgreSQLServer, *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
        postgresql.query("SELECT pg_switch_wal()")


def _drained(postgresql: PostgreSQLServer, lifeboat: CommandLine, *, after: datetime.datetime) -> dict[str, Json]:
    """Wait until all of it is in the bucket; the newest windows. The writers go on: a second ends with the next one."""
    deadline = time.monotonic() + 180
    while True:
        _let_pass(postgresql, seconds=1)
        said = lifeboat("windows --repository offsite --json")
        found = {one["source"].partition("/")[2]: one["windows"] for one in said.document["sources"]}
        if all(each and parse_time(each[-1]["ends"]) > after for each in found.values()):
            return {source: each[-1] for source, each in found.items()}
        assert time.monotonic() < deadline, (said.out, postgresql.query("SELECT * FROM pg_stat_archiver"))
        postgresql.query("SELECT pg_reload_conf()")  # after failures the archiver sleeps for a minute


@pytest.mark.parametrize("source", STREAMS)
def test_one_window_from_the_first_base_to_the_end(site: Site, source: str) -> None:
    said = site.lifeboat(f"windows shop/{source} --repository offsite --json").succeeded()
    [described] = said.document["sources"]
    assert len(described["windows"]) == 1, described
    begins = described["windows"][0]["begins"]
    # What was written before the first full backup was made.
    assert [gap for gap in described["gaps"] if not gap["ends"] or gap["ends"] > begins] == [], described
    assert len(site.writers[source].entries) > 100


@pytest.mark.parametrize("source", STREAMS)
def test_to_moments_of_the_trouble_and_others(site: Site, source: str) -> None:
    _check_moments(site, source, count=4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("source", STREAMS)
def test_to_thirty_moments(site: Site, source: str) -> None:
    _check_moments(site, source, count=30)


def _check_moments(site: Site, source: str, *, count: int) -> None:
    for moment in site.moments(source, count):
        # PostgreSQL knows instants; the others whole seconds, with all that is in them.
        through = moment if source == "main" else moment + SECOND - datetime.timedelta(microseconds=1)
        with site.recovered(source, "--to-time", format_time(moment)) as found:
            site.writers[source].check(found, through=through)


@pytest.mark.parametrize("source", STREAMS)
def test_to_the_end_of_what_is_stored(site: Site, source: str) -> None:
    """After everything was shipped: what was acknowledged is there to the last one."""
    site.postgresql.query("SELECT pg_switch_wal()")
    deadline = time.monotonic() + 90
    while site.postgresql.query("SELECT count(*) > 0 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    site.lifeboat(f"ship {JOBS[source]} --quiet").succeeded()
    with site.recovered(source, "--latest") as found:
        site.writers[source].check(found, through=None)
