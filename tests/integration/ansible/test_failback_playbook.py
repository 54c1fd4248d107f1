# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/dr_failback.yml`` on real servers: the former primary comes home, and no acknowledged write is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile
import threading
import typing as t

import psycopg2
import pytest
import yaml

from sandbox.postgresql import PostgreSQLServer
from tests.integration.ansible.plays import Json, Played, run_playbook
from tests.integration.postgresql.pitr_rig import own
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.standby_rig import Node, make
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
_PLAYBOOK = "playbooks/dr_failback.yml"


@dataclasses.dataclass(frozen=True)
class Site:
    """*north* was the primary and died with writes of its own; *south* has taken its place and is described so."""

    directory: pathlib.Path
    north: Node
    south: Node

    @property
    def vault(self) -> pathlib.Path:
        return self.directory / "vault"

    def connection(self, node: Node) -> Json:
        return {
            "host": "127.0.0.1",
            "port": node.port,
            "user": "postgres",
            "database": "postgres",
            "password_file": str(node.password_file),
            "bin_directory": str(node.primary.bin_directory),
        }

    def play(self, *more: str, **variables: t.Any) -> Played:
        source = {
            "name": "main",
            "engine": "postgresql",
            "connection": self.connection(self.south),
            "standbys": [
                {
                    "name": "north",
                    "inventory_host": "there",
                    "connection": self.connection(self.north),
                    "data_directory": str(self.north.data),
                }
            ],
            "backups": [{"kind": "base", "repositories": ["vault"], "keep": {"within": "7d"}}],
        }
        here = {
            "lifeboat_services": [{"name": "adhd", "sources": [source]}],
            "lifeboat_repositories": {"vault": {"type": "file", "path": str(self.vault)}},
            "lifeboat_settings": {"state_directory": str(self.directory / "state")},
        }
        administrator = {key: self.connection(self.south)[key] for key in ("host", "user", "password_file")}
        shared = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "lifeboat_administrator": administrator,
            "standby_settings": {"adhd/main/north": {"unix_socket_directories": ""}},
        }
        inventory = self.directory / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"here": here, "there": {}}, "vars": shared}}))
        named = {
            "lifeboat_failback": "adhd/main",
            "lifeboat_failback_to": "north",
            "lifeboat_backup_after": False,
            **variables,
        }
        words = ("--inventory", str(inventory), "-e", json.dumps(named), *more)
        return run_playbook(self, *words, playbook=_PLAYBOOK, seconds=600)

    def entries(self) -> list[Json]:
        return [json.loads(path.read_text()) for path in sorted(self.vault.glob("adhd/.failover/run-*/[0-9]*.json"))]


@pytest.fixture
def site() -> t.Iterator[Site]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-test-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        server = stack.enter_context(PostgreSQLServer(password=SECRET, archiving=False))
        server.query("CREATE TABLE ledger (id int PRIMARY KEY)")
        north, south = Node.of(server), Node(primary=server, data=own(folder / "clusters") / "south")
        for node in (south, north):
            stack.callback(node.end)
        (folder / "vault").mkdir()
        north.write(range(10))
        make(south, north, name="south")
        south.has(north)
        south.promote()
        north.write([100, 101, 102])  # it did not know, and nobody else has them
        north.kill()
        south.write(range(10, 20))
        yield Site(directory=folder, north=north, south=south)


class Writer(threading.Thread):
    """A client that writes one number after the other to whom it knows, until that one lets nobody in any more."""

    def __init__(self, node: Node) -> None:
        super().__init__(daemon=True)
        self._node = node
        self.acknowledged: list[int] = []

    def run(self) -> None:
        with contextlib.suppress(psycopg2.Error):
            for number in range(1000, 1_000_000):
                self._node.write([number])
                self.acknowledged.append(number)


def flat(played: Played) -> str:
    return " ".join(played.output.split())


@pytest.mark.long
def test_the_former_primary_comes_home_and_no_acknowledged_write_is_lost(site: Site) -> None:
    north, south = site.north, site.south
    unconfirmed = site.play()
    assert unconfirmed.status != 0
    assert "add -e lifeboat_confirm=north" in flat(unconfirmed)
    looked = site.play("--check")
    assert looked.status != 0
    assert "3 commits of " in flat(looked)
    assert "and nowhere else" in flat(looked)
    assert site.entries() == []
    assert not (north.data / "standby.signal").exists()

    # By day it becomes a standby, and nobody notices.
    word = {"lifeboat_confirm": "north"}
    prepared = site.play(**word, lifeboat_failback_until="standby", lifeboat_accept_rewind=True)
    assert prepared.status == 0, prepared.output
    assert "adhd/main/north: rewind, because" in flat(prepared)
    assert site.entries() == []
    wait_for(lambda: north.numbers() == set(range(20)))
    assert not south.state().in_recovery

    # In its hour it takes its place again, while somebody writes.
    writer = Writer(south)
    writer.start()
    wait_for(lambda: len(writer.acknowledged) > 20)
    played = site.play(**word)
    assert played.status == 0, played.output
    writer.join(60)
    assert not writer.is_alive()
    assert "adhd/main/main: follow, because" in flat(played)  # what was left has nothing that its successor lacks

    # Every write that south acknowledged is in north, and nothing else is.
    tolerated = {writer.acknowledged[-1] + 1}  # sent, and its answer lost
    assert north.numbers() - tolerated == set(range(20)) | set(writer.acknowledged)
    assert not north.state().in_recovery
    assert north.state().timeline == 3
    closed = site.entries()[-1]
    assert (closed["event"], closed["data"]["evidence"]["lost"]["commits"]) == ("closed", 0)

    # South follows, and can't be written to.
    north.write([5000])
    wait_for(lambda: 5000 in south.numbers())
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        south.write([5001])
    assert SECRET not in prepared.output + played.output
