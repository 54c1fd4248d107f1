# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery to the boundary before, at and after every kind of operation; the source's own dump is the oracle.

Every boundary takes a recovery, so a sample is taken unless LIFEBOAT_EVERY_POINT is set.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.physical import Physical, physical
from tests.integration.postgresql.pitr_rig import (
    Recovering,
    archive_everything,
    archive_settings,
    open_spool,
    own,
)
from tests.integration.postgresql.restoring import Cluster
from tests.integration.postgresql.rig import SECRET, psql

EVERY = bool(os.environ.get("LIFEBOAT_EVERY_POINT"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200 if EVERY else 900)]
NAME = "kinds"
_BEFORE = """
CREATE TABLE items (id int PRIMARY KEY, word text NOT NULL);
INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 40) n;
CREATE TABLE parts (item int REFERENCES items ON DELETE CASCADE, part int);
INSERT INTO parts SELECT n, p FROM generate_series(1, 40) n, generate_series(1, 3) p;
CREATE TABLE gone (id int);
INSERT INTO gone SELECT generate_series(1, 9);
CREATE TABLE full_of (id int);
INSERT INTO full_of SELECT generate_series(1, 500);
CREATE SEQUENCE numbers;
CREATE TYPE mood AS ENUM ('fine');
CREATE TABLE days (at date, n int) PARTITION BY RANGE (at);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
INSERT INTO days VALUES ('2026-01-05', 1);
CREATE VIEW seen AS SELECT id FROM items;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM items;
"""
#: Name and statements; each is one transaction that commits, unless a statement says otherwise.
_STEPS: tuple[tuple[str, str], ...] = (
    ("insert", "INSERT INTO items VALUES (100, 'hundred');"),
    ("insert of many", "INSERT INTO items SELECT n, md5(n::text) FROM generate_series(200, 3000) n;"),
    ("copy", "COPY items FROM stdin;\n5001\tcopied\n5002\ttoo\n\\.\n"),
    ("update", "UPDATE items SET word = 'other' WHERE id = 7;"),
    ("update of all", "UPDATE items SET word = word || '.';"),
    ("upsert", "INSERT INTO items VALUES (7, 'x') ON CONFLICT (id) DO UPDATE SET word = 'again';"),
    ("delete with what hangs on it", "DELETE FROM items WHERE id = 9;"),
    ("delete of many", "DELETE FROM parts WHERE part = 2;"),
    (
        "several statements",
        """BEGIN; INSERT INTO items VALUES (6001, 'a'); UPDATE items SET word = 'b' WHERE id = 3;
        DELETE FROM items WHERE id = 4; COMMIT;""",
    ),
    (
        "a part undone",
        """BEGIN; INSERT INTO items VALUES (6002, 'kept'); SAVEPOINT one; INSERT INTO items VALUES (6003, 'undone');
        ROLLBACK TO one; INSERT INTO items VALUES (6004, 'kept'); COMMIT;""",
    ),
    (
        "subtransactions",
        """DO $$ BEGIN FOR n IN 6100..6180 LOOP BEGIN INSERT INTO items VALUES (n, 'sub');
        EXCEPTION WHEN unique_violation THEN NULL; END; END LOOP; END $$;""",
    ),
    (
        "prepared and committed",
        "BEGIN; INSERT INTO items VALUES (6200, 'prepared'); PREPARE TRANSACTION 'two'; COMMIT PREPARED 'two';",
    ),
    ("truncate", "TRUNCATE full_of;"),
    ("new table", "CREATE TABLE fresh AS SELECT n AS id FROM generate_series(1, 50) n;"),
    ("index", "CREATE UNIQUE INDEX fresh_id ON fresh (id);"),
    ("index without a lock", "CREATE INDEX CONCURRENTLY items_word ON items (word);"),
    ("column", "ALTER TABLE fresh ADD COLUMN more text DEFAULT 'm';"),
    ("another type, the table written anew", "ALTER TABLE fresh ALTER COLUMN id TYPE bigint;"),
    ("renamed", "ALTER TABLE fresh RENAME TO stale;"),
    ("dropped", "DROP TABLE gone;"),
    ("made again", "CREATE TABLE gone (id int, second text); INSERT INTO gone VALUES (1, 'life');"),
    ("sequence", "SELECT setval('numbers', 4711);"),
    ("word of an enum", "ALTER TYPE mood ADD VALUE 'better';"),
    ("partition", "CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');"),
    ("into the partition", "INSERT INTO days VALUES ('2026-02-03', 2);"),
    ("partition taken off", "ALTER TABLE days DETACH PARTITION days_1;"),
    ("view", "CREATE OR REPLACE VIEW seen AS SELECT id, word FROM items;"),
    ("refreshed", "REFRESH MATERIALIZED VIEW counted;"),
    ("function", "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';"),
    ("large object", "SELECT lo_from_bytea(4242, '\\xdeadbeef');"),
    ("right", "GRANT SELECT ON items TO PUBLIC;"),
    ("setting of the database", f"ALTER DATABASE {NAME} SET work_mem = '9MB';"),
    ("written anew", "VACUUM FULL items;"),
    ("in order of an index", "CLUSTER stale USING fresh_id;"),
    ("schema with all", "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE public.after (id int);"),
)
_FETCHED = """
SELECT CASE WHEN to_regclass('public.counted') IS NOT NULL THEN
    query_to_xml('TABLE public.counted', true, false, '')::text END
"""


@dataclass(frozen=True)
class Step:
    """What one step left: *dump* is all of the database after it, *after* a position behind it, *at* the time then."""

    name: str
    after: str
    at: str
    xid: int | None
    dump: str


@dataclass
class Story:
    """A cluster with one base backup, and what each step left."""

    rig: Physical
    server: PostgreSQLServer
    identifier: str
    steps: list[Step]
    recoveries: int = 0

    @contextlib.contextmanager
    def recovered(self, target: t.Mapping[str, t.Any]) -> t.Iterator[Cluster]:
        """A copy beside; gone afterwards."""
        self.recoveries += 1
        data = self.rig.folder / "clusters" / f"copy{self.recoveries}"
        cluster = Cluster(data=data, port=free_port(), bin_directory=str(self.server.bin_directory))
        options = {"data_directory": str(data), "start": True, "port": cluster.port, "verify": False}
        recovering = Recovering.to(self.rig, target, identifier=self.identifier, **options)
        recovering.restore_id = f"20261122T04{self.recoveries:04d}Z-abc123"
        try:
            recovering.run()
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(data, ignore_errors=True)


def dump_of(programs: Path, of: PostgreSQLServer | Cluster) -> str:
    """All of the database, its settings and rights too, and what is in its materialized view, which no dump says."""
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PGHOST": "127.0.0.1" if isinstance(of, PostgreSQLServer) else str(of.data),
        "PGPORT": str(of.port),
        "PGUSER": "postgres",
        "PGPASSWORD": SECRET,
        "PGDATABASE": NAME,
    }
    said = []
    for command in (["pg_dump", "--no-password", "--create"], ["psql", "-XAtqw", "-c", _FETCHED]):
        done = subprocess.run(
            [programs / command[0], *command[1:]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        said.append(done.stdout)
    # Without the random words that pg_dump puts in.
    return re.sub(r"^\\(?:un)?restrict .*$", "", "".join(said), flags=re.MULTILINE)


def note(server: PostgreSQLServer, name: str, *, before: int) -> Step:
    """What there is now; the position has a record behind it, so that a recovery can stop there."""
    at, after, newest = server.query(
        "SELECT clock_timestamp(), pg_current_wal_insert_lsn()::text, pg_snapshot_xmax(pg_current_snapshot())::text"
    )[0]
    server.query("SELECT pg_create_restore_point('a record behind it')")
    # The one transaction of the step; None where it had none or several. A sequence does not wait for the end of its.
    xid = before if int(newest) == before + 1 and name != "sequence" else None
    return Step(name=name, after=after, at=format_time(at), xid=xid, dump=dump_of(server.bin_directory, server))


@pytest.fixture(scope="module")
def story() -> t.Iterator[Story]:
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(physical(t.cast("PostgreSQLServer", None)))
        own(rig.folder / "clusters")
        own(rig.folder / "spool")
        rig.server = server = stack.enter_context(
            PostgreSQLServer(password=SECRET, settings=archive_settings(rig.folder))
        )
        identifier = open_spool(server, rig.folder)
        server.query(f"CREATE DATABASE {NAME}")
        psql(server, _BEFORE, database=NAME)
        rig.backup()
        steps = [note(server, "nothing", before=0)]
        for number, (name, statements) in enumerate(_STEPS):
            before = int(server.query("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0][0])
            psql(server, statements, database=NAME)
            steps.append(note(server, name, before=before))
            if number % 9 == 8:
                server.query("SELECT pg_switch_wal()")
        # Times are reached up to the last commit that is stored: one behind the last step.
        psql(server, "CREATE TABLE behind_everything ()", database=NAME)
        archive_everything(server, rig.folder)
        yield Story(rig, server, identifier, steps)


def targets(story: Story) -> list[tuple[str, dict[str, t.Any], str]]:
    """Before and after every step, by position, by time and by transaction; with what must be there.

    Sequences belong to no transaction, and PostgreSQL holds a time against ends of transactions only: what was drawn or
    set of one before the first that ended later is there.
    """
    found = []
    for before, after, later in zip(story.steps, story.steps[1:], [*story.steps[2:], None], strict=False):
        found.append((f"before {after.name}", {"lsn": before.after, "exclusive": True}, before.dump))
        there = later.dump if later is not None and later.name == "sequence" else after.dump
        found.append((f"after {after.name}", {"time": after.at}, there))
        if after.xid is not None:
            found.append((f"at {after.name}", {"xid": after.xid}, after.dump))
            found.append((f"just before {after.name}", {"xid": after.xid, "exclusive": True}, before.dump))
    return found


def test_every_kind_leaves_something_to_tell_it_by(story: Story) -> None:
    """Or a recovery to the wrong side of it would not be noticed."""
    same = {"written anew"}  # other files, the same content
    for before, after in zip(story.steps, story.steps[1:], strict=False):
        assert (before.dump == after.dump) is (after.name in same), after.name
    assert sum(step.xid is not None for step in story.steps) > len(_STEPS) // 2


def test_the_boundary_of_every_kind_of_operation(story: Story) -> None:
    points = targets(story)
    assert len(points) > 100
    chosen = points if EVERY else random.Random(story.steps[0].after).sample(points, 7)
    for name, target, dump in chosen:
        with story.recovered(target) as cluster:
            assert dump_of(Path(cluster.bin_directory), cluster) == dump, f"{name}: {target}"


def test_what_is_prepared_and_not_committed_is_still_prepared(story: Story) -> None:
    """Neither there nor lost: who coordinates it may still commit it."""
    server = story.server
    psql(server, "CREATE TABLE IF NOT EXISTS public.after (id int)", database=NAME)
    psql(server, "BEGIN; INSERT INTO public.after VALUES (1); PREPARE TRANSACTION 'undecided'", database=NAME)
    after = server.query("SELECT pg_current_wal_insert_lsn()::text")[0][0]
    psql(server, "COMMIT PREPARED 'undecided'", database=NAME)
    archive_everything(server, story.rig.folder)
    with story.recovered({"lsn": after, "exclusive": True}) as cluster:
        assert cluster.query("SELECT count(*) FROM public.after", database=NAME) == "0"
        assert cluster.query("SELECT gid FROM pg_prepared_xacts") == "undecided"
        cluster.query("COMMIT PREPARED 'undecided'", database=NAME)  # by who coordinates it
        assert cluster.query("SELECT count(*) FROM public.after", database=NAME) == "1"
