# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way: captured from a server, shipped into a repository by the operation, read back as windows."""

from __future__ import annotations

import shutil
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import MongoSetRenamed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_windows import windows_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship import run_ship
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.ship_values import (
    ShipRequest,
    ShipResult,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stream_sources.registry import (
    STREAM_KINDS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_streams
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import Stream
from sandbox.mongodb import MongoReplicaSet
from tests.integration.mongodb.rig import BACKUP_ID, Source
from tests.integration.mongodb.streaming import SERIES, oplog, split
from tests.support.manifests import manifest


@pytest.fixture(scope="module")
def server() -> t.Iterator[MongoReplicaSet]:
    with MongoReplicaSet(parameters={"periodicNoopIntervalSecs": "1"}) as one:
        with one.client() as client:
            client.shop.orders.insert_one({"_id": "first of all"})
        yield one


@dataclass
class Shipping:
    """One job on one host with a repository in a folder."""

    uri: str
    folder: Path

    @property
    def description(self) -> dict[str, t.Any]:
        return {"type": "file", "path": str(self.folder / "repository"), "create": True}

    def run(self) -> ShipResult:
        request = ShipRequest(
            series=SERIES,
            engine="mongodb",
            kind=STREAM_KINDS["mongodb", "oplog"],
            repositories=(RepositoryRequest(name="local", description=self.description),),
            spool_directory=str(self.folder / "state" / "spool" / "shop.main.oplog"),
            connection={"uri": self.uri},
            options={"idle_seconds": 0.001},
            state_directory=str(self.folder / "state"),
        )
        return run_ship(request, host=Host())

    def streams(self) -> tuple[Stream, ...]:
        storage = open_storage(self.description, name="local", clock=SystemClock(), runner=SubprocessRunner())
        return read_streams({"local": storage}, SERIES)

    def entries(self, stream: Stream) -> list[bytes]:
        """What the repository holds of a lineage, decompressed by the stock tool."""
        found: list[bytes] = []
        for one in stream.segments:
            (path,) = (self.folder / "repository").rglob(one.segment.payload.name)
            plain = subprocess.run(["zstd", "-dc", str(path)], check=True, capture_output=True).stdout
            inside = split(plain)
            found += inside[1:] if found and inside[0] == found[-1] else inside
        return found


@pytest.fixture
def shipping(server: MongoReplicaSet, tmp_path: Path) -> Shipping:
    (tmp_path / "repository").mkdir()
    return Shipping(uri=server.uri, folder=tmp_path)


@pytest.mark.smoke
def test_from_the_server_to_a_window(shipping: Shipping, server: MongoReplicaSet, tmp_path: Path) -> None:
    with server.client() as client:
        assert shipping.run().state == "complete"
        content = Source(uri=server.uri, folder=tmp_path / "dump").dump(database="shop").content
        client.shop.orders.insert_one({"_id": "after the dump"})
        assert shipping.run().state == "complete"
        # The host is set up anew: its notes are gone, the records are not.
        shutil.rmtree(tmp_path / "state")
        client.shop.orders.insert_one({"_id": "after the notes were lost"})
        result = shipping.run()
        assert (result.state, result.events) == ("complete", 0)
        (stream,) = shipping.streams()
        facts = [one.segment.facts for one in stream.segments]
        first, last = (tuple(map(int, text.split(":"))) for text in (facts[0]["first"], facts[-1]["last"]))
        assert shipping.entries(stream) == oplog(client, first, last)
    base = Backup(manifest=manifest(content=content), repositories={"local": "verified"})
    (window,) = windows_of([base], [stream]).windows
    moment = content["consistency"]["cluster_time"]
    assert (window.first, window.last) == (f"{moment['t']}:{moment['i']}", facts[-1]["last"])
    assert window.bases == (BACKUP_ID,)


def test_a_break_is_in_the_records_and_the_windows(shipping: Shipping, server: MongoReplicaSet) -> None:
    shipping.run()
    with server.client() as client:
        client.admin.command("setFeatureCompatibilityVersion", "5.0")
        try:
            shipping.run()
            shipping.run()
        finally:
            client.admin.command("setFeatureCompatibilityVersion", "6.0")
    before, after = sorted(shipping.streams(), key=lambda one: one.folder.lineage)
    events = [event for stream in (before, after) for event in stream.events]
    assert [event.what for event in events] == ["break", "full-backup-needed"]
    assert events[0].facts["lineage"] == after.folder.lineage
    found = windows_of([], [before, after])
    assert any("the feature compatibility version was changed" in gap.reason for gap in found.gaps)


def test_a_foreign_set_can_not_write_into_the_stream(shipping: Shipping) -> None:
    shipping.run()
    stored = [one.segments for one in shipping.streams()]
    with MongoReplicaSet(name="rs1") as foreign:
        shipping.uri = foreign.uri
        with pytest.raises(MongoSetRenamed):
            shipping.run()
        shutil.rmtree(shipping.folder / "state")
        result = shipping.run()
    assert result.state != "complete"
    assert any("belongs to the replica set rs1" in str(one) for one in result.warnings)
    assert [one.segments for one in shipping.streams()] == stored
