# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incremental base backups of PostgreSQL 18 combine with stock tools into the whole cluster."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import Production
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.manifests import ManifestShelf
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.options import IncrementalParent
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.folder_sink import FolderSink
from tests.integration.postgresql.load import SCRIPT, TOTAL, load
from tests.integration.postgresql.rig import base_producer, database, psql, restored_cluster
from tests.support.waiting import wait_for

NAME = "loaded"
FULL, FIRST, SECOND = (f"2026112{day}T020000Z-4f2c9{day}" for day in (1, 2, 3))


def made(
    server: PostgreSQLServer,
    tmp_path: Path,
    *,
    backup_id: str,
    parent: IncrementalParent | None = None,
    **options: t.Any,
) -> tuple[Production, FolderSink]:
    producer, _journal = base_producer(
        server,
        state_directory=tmp_path / "state",
        backup_id=backup_id,
        kind="incremental" if parent else "base",
        parent=parent,
        **options,
    )
    producer.inspect()
    sink = FolderSink(tmp_path / "repository" / backup_id)
    return producer.produce(sink=sink, progress=sink.progress), sink


def parent_of(production: Production, backup_id: str) -> IncrementalParent:
    chain = (production.content["parent"] or {}).get("chain", [])
    return IncrementalParent(
        backup_id=backup_id, manifest_path=production.content["manifest_path"], chain=(*chain, backup_id)
    )


@pytest.mark.slow
def test_a_chain_combines_into_the_cluster(server_18: PostgreSQLServer, tmp_path: Path) -> None:
    filler = "CREATE TABLE filler AS SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 40000) n;"
    with database(server_18, NAME, script=SCRIPT + filler):
        full, full_sink = made(server_18, tmp_path, backup_id=FULL)
        with load(server_18, NAME):
            first, first_sink = made(server_18, tmp_path, backup_id=FIRST, parent=parent_of(full, FULL))
        psql(server_18, "CREATE TABLE after_the_first AS SELECT 7 AS answer", database=NAME)
        second, second_sink = made(server_18, tmp_path, backup_id=SECOND, parent=parent_of(first, FIRST))

        assert second.content["parent"] == {"backup_id": FIRST, "chain": [FULL, FIRST]}
        sizes = [sink.stored["base.tar"].plain_size or 0 for sink in (full_sink, first_sink, second_sink)]
        assert sizes[1] < sizes[0] - 30_000_000, "what did not change is not in it"
        with restored_cluster(server_18, folder=tmp_path / "work" / SECOND) as cluster:
            # As the last RESTORE.md says: the others are unpacked first, each in its own folder beside this one.
            for production, sink, backup_id in ((full, full_sink, FULL), (first, first_sink, FIRST)):
                unpacking = [
                    line
                    for line in production.restore_commands.splitlines()
                    if line.startswith(("    mkdir", "    {fetch"))
                ]
                assert len(unpacking) == 2
                cluster.run(
                    Production(content={}, restore_commands="\n".join(unpacking)), sink, place=f"../{backup_id}"
                )
            printed = cluster.run(second, second_sink)
            assert "backup successfully verified" in "".join(printed)
            assert cluster.query("SELECT pg_is_in_recovery()") == "f"
            assert cluster.query("SELECT sum(balance) FROM accounts", database=NAME) == str(TOTAL)
            assert cluster.query("SELECT count(*) FROM events", database=NAME) == cluster.query(
                "SELECT count(*) FROM mirrored_events", database=NAME
            )
            assert cluster.query("SELECT answer FROM after_the_first", database=NAME) == "7"
            assert cluster.query("SELECT count(*) FROM filler", database=NAME) == "40000"


def test_manifests_are_pruned_but_never_the_parents(server_18: PostgreSQLServer, tmp_path: Path) -> None:
    full, _sink = made(server_18, tmp_path, backup_id=FULL, manifest_history=1)
    first, _sink = made(server_18, tmp_path, backup_id=FIRST, parent=parent_of(full, FULL), manifest_history=1)
    shelf = ManifestShelf(
        state_directory=str(tmp_path / "state"), system_identifier=str(first.content["system_identifier"])
    )
    assert shelf.backup_ids() == [FULL, FIRST], "a second incremental may build on the same parent"
    made(server_18, tmp_path, backup_id=SECOND, parent=parent_of(first, FIRST), manifest_history=1)
    assert shelf.backup_ids() == [FIRST, SECOND]


def wait_for_answer(server: PostgreSQLServer, condition: str) -> None:
    wait_for(lambda: server.query(condition) == [(True,)], what=condition)


def refused(
    server: PostgreSQLServer, tmp_path: Path, *, parent: IncrementalParent | None, code: str
) -> errors.LifeboatError:
    producer, _journal = base_producer(
        server, state_directory=tmp_path / "state", backup_id=FIRST, kind="incremental", parent=parent
    )
    with pytest.raises(errors.LifeboatError) as caught:
        producer.inspect()
    assert caught.value.code == code
    sink = FolderSink(tmp_path / "refused")
    with pytest.raises(errors.LifeboatError) as again:
        producer.produce(sink=sink, progress=sink.progress)
    assert again.value.code == code
    assert list((tmp_path / "refused").iterdir()) == []
    return caught.value


def test_without_a_parent_a_full_one_is_suggested(server_18: PostgreSQLServer, tmp_path: Path) -> None:
    error = refused(server_18, tmp_path, parent=None, code="postgresql.parent_unusable")
    assert "kind: base" in error.hint


def test_a_parent_whose_manifest_is_gone_or_changed(server_18: PostgreSQLServer, tmp_path: Path) -> None:
    full, _sink = made(server_18, tmp_path, backup_id=FULL)
    manifest = Path(full.content["manifest_path"])
    changed = tmp_path / "changed"
    changed.write_bytes(manifest.read_bytes().replace(b'"Size": 8192', b'"Size": 8193', 1))
    for path in (tmp_path / "none", changed):
        parent = IncrementalParent(backup_id=FULL, manifest_path=str(path))
        error = refused(server_18, tmp_path, parent=parent, code="postgresql.parent_unusable")
        assert "kind: base" in error.hint


def test_a_parent_of_another_cluster(server_18: PostgreSQLServer, tmp_path: Path) -> None:
    with PostgreSQLServer(
        password=server_18.password, bin_directory=server_18.bin_directory, settings={"summarize_wal": "on"}
    ) as other:
        full, _sink = made(other, tmp_path, backup_id=FULL)
        error = refused(server_18, tmp_path, parent=parent_of(full, FULL), code="postgresql.parent_unusable")
        assert "another cluster" in error.message


def test_without_summaries_it_is_refused(tmp_path: Path, server_18: PostgreSQLServer) -> None:
    with PostgreSQLServer(password=server_18.password, bin_directory=server_18.bin_directory) as server:
        full, _sink = made(server, tmp_path, backup_id=FULL)
        error = refused(server, tmp_path, parent=parent_of(full, FULL), code="postgresql.summarizer_off")
        assert "summarize_wal = on" in error.hint
        # Switched on only now, the summaries don't reach back to the parent: the server itself says so.
        psql(server, "ALTER SYSTEM SET summarize_wal = on")
        psql(server, "SELECT pg_reload_conf()")
        psql(server, "CREATE TABLE t (i int); SELECT pg_switch_wal(); CHECKPOINT")
        # What it has summarised once it does not summarise again, so what is removed then stays away.
        position = server.query("SELECT redo_lsn FROM pg_control_checkpoint()")[0][0]
        wait_for_answer(server, f"SELECT summarized_lsn >= '{position}' FROM pg_get_wal_summarizer_state()")
        producer, _journal = base_producer(
            server,
            state_directory=tmp_path / "state",
            backup_id=FIRST,
            kind="incremental",
            parent=parent_of(full, FULL),
        )
        for path in (server.data_directory / "pg_wal" / "summaries").iterdir():
            path.unlink()
        sink = FolderSink(tmp_path / "late")
        with pytest.raises(errors.PostgresSummariesMissing) as caught:
            producer.produce(sink=sink, progress=sink.progress)
        assert "wal_summary_keep_time" in caught.value.hint
        assert list((tmp_path / "late").iterdir()) == []


def test_a_server_restored_to_before_the_parent_needs_a_full_one(server_18: PostgreSQLServer, tmp_path: Path) -> None:
    """The abandoned timeline: its positions look fine, its blocks are not those of this history."""
    with PostgreSQLServer(
        password=server_18.password, bin_directory=server_18.bin_directory, settings={"summarize_wal": "on"}
    ) as server:
        psql(server, "CREATE TABLE t (i int)")
        _full, full_sink = made(server, tmp_path, backup_id=FULL)
        psql(server, "INSERT INTO t SELECT generate_series(1, 100000); CHECKPOINT")
        later, _sink = made(server, tmp_path, backup_id=FIRST)
        server.stop()
        shutil.rmtree(server.data_directory)
        server.data_directory.mkdir(mode=0o700)
        from tests.integration.postgresql.rig import shell

        shell(
            f"{full_sink.fetch('base.tar')} | tar -x -C {server.data_directory}",
            directory=tmp_path,
            environment={"PATH": "/usr/bin:/bin"},
        )
        (server.data_directory / "recovery.signal").touch()
        with (server.data_directory / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write("restore_command = 'false'\nrecovery_target_timeline = 'current'\n")
        shell(
            f"chown -R --reference={server.archive_directory} {server.data_directory}",
            directory=tmp_path,
            environment={"PATH": "/bin"},
        )
        server.start()
        wait_for_answer(server, "SELECT NOT pg_is_in_recovery()")
        psql(server, "CHECKPOINT")
        assert server.query("SELECT timeline_id FROM pg_control_checkpoint()") == [(2,)]
        psql(server, "INSERT INTO t SELECT generate_series(1, 200000); CHECKPOINT")
        producer, _journal = base_producer(
            server,
            state_directory=tmp_path / "state",
            backup_id=SECOND,
            kind="incremental",
            parent=parent_of(later, FIRST),
        )
        sink = FolderSink(tmp_path / "abandoned")
        with pytest.raises(errors.PostgresParentUnusable) as caught:
            producer.produce(sink=sink, progress=sink.progress)
        assert "kind: base" in caught.value.hint
        assert list((tmp_path / "abandoned").iterdir()) == []


def test_an_old_server_says_since_when(distribution_server: PostgreSQLServer, tmp_path: Path) -> None:
    if distribution_server.version >= 17:
        pytest.skip("the distribution's PostgreSQL makes incremental backups, and no older one is here")
    error = refused(
        distribution_server,
        tmp_path,
        parent=IncrementalParent(backup_id=FULL, manifest_path="/none"),
        code="postgresql.incremental_unsupported",
    )
    assert "17" in error.message
