# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery to a point in time of a cluster with tablespaces; WAL that makes one is never replayed."""

from __future__ import annotations

import contextlib
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.physical import Physical, physical
from tests.integration.postgresql.pitr_rig import Recovering, archive_everything, archive_settings, open_spool, own
from tests.integration.postgresql.restoring import Cluster
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.tablespaced import ANSWER, NAME, QUESTION, owned, tablespaces

pytestmark = pytest.mark.slow


@dataclass
class Site:
    """A cluster with tablespaces that archives; *after* is where its first table had been changed."""

    rig: Physical
    identifier: str
    places: dict[str, Path]
    after: str

    def recovering(self, target: t.Mapping[str, t.Any], *, name: str, **options: t.Any) -> tuple[Cluster, Recovering]:
        data = self.rig.folder / "clusters" / name
        cluster = Cluster(data=data, port=free_port(), bin_directory=str(self.rig.server.bin_directory))
        given = {
            "data_directory": str(data),
            "start": True,
            "port": cluster.port,
            "start_timeout": 60,
            "tablespace_directory": str(self.rig.folder / "clusters" / f"{name}-spaces"),
            **options,
        }
        return cluster, Recovering.to(self.rig, target, identifier=self.identifier, **given)


@pytest.fixture
def site() -> t.Iterator[Site]:
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(physical(t.cast("PostgreSQLServer", None)))
        own(rig.folder / "clusters")
        own(rig.folder / "spool")
        rig.server = server = stack.enter_context(
            PostgreSQLServer(password=SECRET, settings=archive_settings(rig.folder))
        )
        identifier = open_spool(server, rig.folder)
        places = stack.enter_context(tablespaces(server))
        rig.backup()
        server.query("INSERT INTO wide VALUES (0, 'later')", database=NAME)
        after = str(server.query("SELECT pg_current_wal_insert_lsn()")[0][0])
        archive_everything(server, rig.folder)
        server.query("DELETE FROM wide", database=NAME)
        archive_everything(server, rig.folder)
        yield Site(rig=rig, identifier=identifier, places=places, after=after)


def times_of(places: t.Iterable[Path]) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for place in places for path in sorted(place.rglob("*"))}


def test_beside_to_a_position(site: Site) -> None:
    site.rig.server.query("CHECKPOINT")
    before = times_of(site.places.values())
    cluster, recovering = site.recovering({"lsn": site.after, "exclusive": True}, name="copy")
    recovering.run()
    try:
        assert cluster.query("SELECT t FROM wide WHERE n = 0", database=NAME) == "later"
        assert cluster.query(QUESTION.replace("wide", "wide WHERE n > 0"), database=NAME) == ANSWER
        homes = cluster.query("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE oid > 16000").splitlines()
        assert all(home.startswith(str(site.rig.folder / "clusters" / "copy-spaces")) for home in homes)
        assert times_of(site.places.values()) == before
    finally:
        cluster.stop()


@pytest.mark.parametrize(("step", "moment"), [("replay", "after"), ("tablespaces", "renamed"), ("place", "after")])
def test_a_death_on_the_way_is_finished(site: Site, step: str, moment: str) -> None:
    cluster, recovering = site.recovering({"lsn": site.after, "exclusive": True}, name="copy")
    recovering.die(step, moment)
    recovering.resume()
    try:
        assert cluster.query("SELECT t FROM wide WHERE n = 0", database=NAME) == "later"
    finally:
        cluster.stop()


def test_wal_that_makes_a_tablespace_is_not_replayed(site: Site) -> None:
    """Replaying CREATE TABLESPACE beside would link the copy to the very folder in which production works."""
    server = site.rig.server
    location = owned(server.directory / "sudden")
    server.query(f"CREATE TABLESPACE sudden LOCATION '{location}'")
    server.query("CREATE TABLE there TABLESPACE sudden AS SELECT 1 AS one", database=NAME)
    try:
        server.query("CHECKPOINT")
        end = str(server.query("SELECT pg_current_wal_insert_lsn()")[0][0])
        archive_everything(server, site.rig.folder)
        before = times_of([location])
        assert len(before) > 2
        _cluster, recovering = site.recovering({"lsn": end, "exclusive": True}, name="copy")
        with pytest.raises(errors.PostgresTablespaceInWal) as caught:
            recovering.run()
        assert str(location) in caught.value.message
        assert times_of([location]) == before
        assert sorted(path.name for path in (site.rig.folder / "clusters").iterdir()) == []
        # Up to there it works, and from a backup that was made after it as well.
        cluster, recovering = site.recovering({"lsn": site.after, "exclusive": True}, name="early")
        recovering.restore_id = "20261122T040000Z-abc123"
        recovering.run()
        cluster.stop()
        site.rig.backup()
        server.query("UPDATE there SET one = 2", database=NAME)
        end = str(server.query("SELECT pg_current_wal_insert_lsn()")[0][0])
        archive_everything(server, site.rig.folder)
        cluster, recovering = site.recovering({"lsn": end, "exclusive": True}, name="late")
        recovering.restore_id = "20261122T050000Z-abc123"
        recovering.run()
        try:
            assert cluster.query("SELECT one FROM there", database=NAME) == "2"
            assert str(location) not in cluster.query("SELECT pg_tablespace_location(oid) FROM pg_tablespace")
        finally:
            cluster.stop()
    finally:
        server.query("DROP TABLE there", database=NAME)
        server.query("DROP TABLESPACE sudden")
        shutil.rmtree(location)


def test_a_dropped_tablespace_is_gone_after_the_recovery(site: Site) -> None:
    server = site.rig.server
    server.query("DROP TABLE wide", database=NAME)
    server.query("DROP TABLESPACE fast")
    end = str(server.query("SELECT pg_current_wal_insert_lsn()")[0][0])
    archive_everything(server, site.rig.folder)
    cluster, recovering = site.recovering({"lsn": end, "exclusive": True}, name="copy")
    recovering.run()
    try:
        assert cluster.query("SELECT string_agg(spcname, ',') FROM pg_tablespace WHERE oid > 16000") == "bulk disk"
        assert cluster.query("SELECT one FROM plain", database=NAME) == "1"
    finally:
        cluster.stop()
    recovering.roll_back()
    assert list((site.rig.folder / "clusters").iterdir()) == []
