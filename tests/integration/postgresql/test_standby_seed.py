# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby out of the repository: its primary isn't read for it, and WAL comes from the archive, too."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import BackupNotFound
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.catalog_requests import (
    repository_requests,
    selection_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.restore_values import RestoreRequest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.standby_seed import RepositorySeed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.standby_configuration import (
    WalArchiveWay,
)
from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.pitr_rig import archive_settings, own
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.standby_rig import HOST, Node, make
from tests.support.children import ENGINE, environment
from tests.support.command_line import CommandLine, describe
from tests.support.waiting import wait_for


@dataclass
class Site:
    """A primary that archives, its repository, and two places for standbys."""

    folder: Path
    one: Node
    two: Node
    lifeboat: CommandLine

    @property
    def repository(self) -> dict[str, t.Any]:
        return {"type": "file", "path": str(self.folder / "vault")}

    def seed(self, **choice: t.Any) -> RepositorySeed:
        selection = selection_from(
            {"service": "shop", "source": "main", "engine": "postgresql", "kind": "base", **choice}
        )
        request = RestoreRequest(
            repositories=repository_requests([{"name": "vault", **self.repository}]),
            selection=selection,
            options={},
            point="newest",
            state_directory=str(self.folder / "state"),
        )
        return RepositorySeed(request, bin_directory=str(self.one.primary.bin_directory), host=HOST)

    @property
    def archive(self) -> WalArchiveWay:
        return WalArchiveWay(script=str(self.folder / "fetch-wal"), cache=f"{self.two.data}.wal", fetch=())

    @contextlib.contextmanager
    def serving(self, lineage: str) -> t.Iterator[None]:
        """``lifeboat fetch-wal --serve`` as the agent runs it: the server's account can't read the repository."""
        words = ["--config", str(self.lifeboat.configuration), "fetch-wal", "shop/main"]
        more = ["--serve", self.archive.cache, "--lineage", lineage]
        with subprocess.Popen([sys.executable, "-m", ENGINE, *words, *more], env=environment()) as process:
            try:
                yield
            finally:
                process.terminate()
        assert not Path(self.archive.cache, "fetcher.pid").exists()

    def ship(self) -> str:
        """Everything that was written, into the repository; the name of the last segment."""
        name = str(self.one.query("SELECT pg_walfile_name(pg_switch_wal())")[0][0])
        waiting = self.folder / "spool" / name
        wait_for(waiting.exists)
        self.lifeboat("ship --quiet").succeeded()
        return name


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[Site]:
    with contextlib.ExitStack() as stack:
        own(tmp_path / "spool")
        clusters = own(tmp_path / "clusters")
        settings = {**archive_settings(tmp_path), "log_replication_commands": "on", "max_slot_wal_keep_size": "64MB"}
        server = stack.enter_context(PostgreSQLServer(password=SECRET, settings=settings))
        one, two = Node.of(server), Node(primary=server, data=clusters / "two")
        stack.callback(two.end)
        made = Site(folder=tmp_path, one=one, two=two, lifeboat=CommandLine(tmp_path / "config.yml"))
        (tmp_path / "vault").mkdir(mode=0o700)
        job = {"repositories": ["vault"], "keep": {"within": "7d"}}
        source = {
            "name": "main",
            "engine": "postgresql",
            "connection": {
                "host": "127.0.0.1",
                "port": server.port,
                "user": "postgres",
                "database": "postgres",
                "password_file": str(one.password_file),
                "bin_directory": str(server.bin_directory),
            },
            "backups": [
                {"kind": "base", **job},
                {
                    "kind": "wal",
                    **job,
                    "triggers": ["continuous"],
                    "options": {"spool_directory": str(tmp_path / "spool")},
                },
            ],
        }
        describe(
            made.lifeboat.configuration,
            {
                "lifeboat_services": [{"name": "shop", "sources": [source]}],
                "lifeboat_repositories": {"vault": made.repository},
                "lifeboat_settings": {"state_directory": str(tmp_path / "state")},
            },
        )
        made.lifeboat("ship --quiet").succeeded()  # ties the spool to the cluster
        server.query("CREATE TABLE ledger (id int PRIMARY KEY)")
        server.query("SELECT pg_reload_conf()")
        identifier = one.query("SELECT system_identifier::text FROM pg_control_system()")[0][0]
        own(tmp_path / "clusters/two.wal")
        stack.enter_context(made.serving(identifier))
        yield made


def test_a_standby_comes_out_of_the_repository_and_its_primary_is_not_read_for_it(site: Site) -> None:
    one, two = site.one, site.two
    with pytest.raises(BackupNotFound):
        make(two, one, seed=site.seed(), check=True)
    one.write(range(5))
    site.lifeboat("backup shop/main/base --quiet").succeeded()
    one.write(range(5, 10))
    archived = site.ship()
    # The primary has recycled what it wrote since the backup.
    for _number in range(3):
        one.query("SELECT pg_switch_wal()")
        one.query("CHECKPOINT")
        one.write([100 + _number])
    site.ship()
    one.query("CHECKPOINT")
    assert archived not in {name for (name,) in one.query("SELECT name FROM pg_ls_waldir()")}
    log = one.primary.log_file
    before = log.stat().st_size

    planned = make(two, one, seed=site.seed(), archive=site.archive, check=True)
    assert planned.way == "create"
    assert any(step.startswith("restore the base backup ") for step in planned.steps)
    assert not two.data.exists()
    made = make(two, one, seed=site.seed(), archive=site.archive)
    assert made.way == "create"
    assert not made.warnings, made.warnings  # max_slot_wal_keep_size bounds the slot
    one.write([200])
    wait_for(lambda: two.numbers() == {*range(10), 100, 101, 102, 200})
    said = log.read_bytes()[before:].decode()
    assert "BASE_BACKUP" not in said
    assert "START_REPLICATION" in said

    # Cut off for longer than the slot keeps WAL: it comes back by the archive, without a copy.
    two.stop()
    for number in range(300, 307):
        one.write([number])
        one.query("SELECT pg_switch_wal()")
    site.ship()
    one.query("CHECKPOINT")
    (status,) = one.query("SELECT wal_status FROM pg_replication_slots")
    assert status == ("lost",)
    again = make(two, one, archive=site.archive)
    assert (again.way, again.slot_made) == ("start", True)
    one.write([400])
    wait_for(lambda: two.numbers() >= {*range(300, 307), 400})
    assert make(two, one, archive=site.archive).changed is False
