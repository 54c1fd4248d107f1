# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL all the way: a real server, the script, the spool, shipping into repositories, and out of them again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_run import open_storages
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import (
    ShipRequest,
    ShipResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.registry import (
    STREAM_KINDS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import (
    is_segment_name,
    segments_between,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_planner import RecoveryPlan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import RecoveryTarget
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.segment_reader import (
    StoredSegmentReader,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_streams
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.wal_rig import MIB, SERIES, Archive, archiving

SIZE = 16 * MIB
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def archive(distribution_server: PostgreSQLServer) -> t.Iterator[Archive]:
    with archiving(distribution_server) as made:
        password = made.folder / "password"
        password.touch(mode=0o600)
        password.write_text(SECRET + "\n", encoding="utf-8")
        for name in ("local", "offsite"):
            (made.folder / name).mkdir()
        yield made


def connection(archive: Archive) -> dict[str, t.Any]:
    return {
        "host": "127.0.0.1",
        "port": archive.server.port,
        "user": "postgres",
        "database": "postgres",
        "password_file": str(archive.folder / "password"),
    }


def request(archive: Archive) -> ShipRequest:
    return ShipRequest(
        series=SERIES,
        engine="postgresql",
        kind=STREAM_KINDS["postgresql", "wal"],
        repositories=tuple(
            RepositoryRequest(name=name, description={"type": "file", "path": str(archive.folder / name)})
            for name in ("local", "offsite")
        ),
        spool_directory=str(archive.spool_folder),
        connection=connection(archive),
        options={"archive_timeout": "60s"},
        transforms=Transforms(compression=Compression(level=1, threads=1)),
        state_directory=str(archive.folder / "state"),
    )


def ship(archive: Archive) -> ShipResult:
    return run_ship(request(archive), host=Host(journal=archive.journal))


def stored(archive: Archive) -> Stream:
    (stream,) = read_streams(open_storages(request(archive), host=Host()), SERIES)
    assert not stream.problems
    return stream


def content(archive: Archive, stream: Stream) -> dict[str, bytes]:
    """Every segment's plain bytes, read as a recovery reads them."""
    plan = RecoveryPlan(
        target=RecoveryTarget(kind="latest"),
        base=t.cast("t.Any", None),
        lineage=stream.folder.lineage,
        segments=stream.segments,
        why=(),
    )
    storages = open_storages(request(archive), host=Host())
    reader = StoredSegmentReader(plan=plan, series=SERIES, storages=storages, host=Host())
    found = {}
    for one in stream.segments:
        path = archive.folder / "fetched"
        reader.fetch(one, str(path))
        found[one.segment.name] = path.read_bytes()
        path.unlink()
    return found


@pytest.mark.smoke
def test_what_was_archived_is_stored_everywhere_and_comes_back_as_it_was(archive: Archive) -> None:
    names = archive.segments(4)
    archive.wait_for(names[-1])
    as_written = {name: (archive.spool_folder / name).read_bytes() for name in archive.names()}
    result = ship(archive)
    assert result.state == "complete", result.as_dict()
    assert result.lineage == archive.identifier
    assert archive.names() == []
    stream = stored(archive)
    assert content(archive, stream) == as_written
    assert all(set(one.copies) == {"local", "offsite"} for one in stream.segments)
    assert ship(archive).segments == 0
    # The server comes with one of them again: it finds itself.
    status = archive.server.data_directory / "pg_wal" / "archive_status"
    (status / f"{names[1]}.done").rename(status / f"{names[1]}.ready")
    archive.wake()
    archive.wait_for(names[1])
    assert ship(archive).state == "complete"
    assert archive.names() == []
    assert content(archive, stored(archive)) == as_written


def test_a_lost_file_is_mended_by_the_next_run_and_one_that_is_nowhere_is_recorded(archive: Archive) -> None:
    names = archive.segments(2)
    archive.wait_for(names[-1])
    ship(archive)
    more = archive.segments(4)
    archive.wait_for(more[-1])
    archive.spool.remove(more[:3])
    (archive.server.data_directory / "pg_wal" / more[1]).unlink()
    result = ship(archive)
    stream = stored(archive)
    there = {one.segment.name for one in stream.segments}
    assert there >= {*names, more[0], more[2], more[3]}
    assert more[1] not in there
    assert [event.what for event in stream.events] == ["break", "full-backup-needed"]
    assert stream.events[0].facts["first"] == more[1]
    assert any(more[1] in warning.message for warning in result.warnings)
    ship(archive)
    assert len(stored(archive).events) == 2


def test_a_shipper_that_is_killed_again_and_again_under_load_leaves_no_hole(archive: Archive) -> None:
    (first,) = archive.segments(1)
    description = {
        "lifeboat_repositories": {
            name: {"type": "file", "path": str(archive.folder / name)} for name in ("local", "offsite")
        },
        "lifeboat_settings": {"state_directory": str(archive.folder / "state")},
        "lifeboat_services": [
            {
                "name": SERIES.service,
                "sources": [
                    {
                        "name": SERIES.source,
                        "engine": "postgresql",
                        "connection": connection(archive),
                        "backups": [
                            {
                                "kind": "wal",
                                "repositories": ["local", "offsite"],
                                "keep": {"forever": True},
                                "options": {"spool_directory": str(archive.spool_folder)},
                            }
                        ],
                    }
                ],
            }
        ],
    }
    configuration = archive.folder / "config.yml"
    configuration.write_text(json.dumps(description), encoding="utf-8")
    writing = threading.Event()

    def write() -> None:
        while not writing.is_set():
            archive.server.query("INSERT INTO ledger SELECT FROM generate_series(1, 20000)")

    archive.server.query("ALTER TABLE ledger ADD COLUMN filling text DEFAULT repeat('lifeboat ', 8)")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            before = {one.name for one in (archive.folder / "local").rglob("*.zst")}
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "lifeboat",
                    "--config",
                    configuration,
                    "ship",
                    "shop/main/wal",
                    "--follow",
                    "--quiet",
                ],
                env={**os.environ, "PYTHONPATH": str(ROOT / "tools" / "typing")},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            deadline = time.monotonic() + 40
            while not {one.name for one in (archive.folder / "local").rglob("*.zst")} - before:
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.01 * number)
            process.send_signal(signal.SIGKILL)
            process.communicate()
    finally:
        writing.set()
        writer.join()
    (last,) = archive.segments(1)
    archive.wait_for(last)
    as_written = {name: (archive.spool_folder / name).read_bytes() for name in archive.names()}
    assert ship(archive).state == "complete"
    # A vacuum of its own accord goes on writing WAL behind the last one.
    assert [name for name in archive.names() if name <= last] == []
    stream = stored(archive)
    found = content(archive, stream)
    names = sorted(name for name in found if is_segment_name(name) and first <= name <= last)
    assert names == list(segments_between(first, last, segment_size=SIZE))
    assert {name: found[name] for name in as_written} == as_written
    assert stream.events == ()
