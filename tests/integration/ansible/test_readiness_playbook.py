# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/dr_readiness.yml`` on a real primary with a standby: what is well, and what is lost with each part."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.registry import open_storage
from sandbox.postgresql import PostgreSQLServer
from tests.integration.ansible.plays import PASSWORD, Json, Played, run_playbook
from tests.support.copies import described, put_backup, put_verification
from tests.support.failovers import write_failover
from tests.support.waiting import wait_for

_PLAYBOOK = "playbooks/dr_readiness.yml"
pytestmark = pytest.mark.slow


class Site:
    """The host of the primary, the one of the other region, and two repositories that both reach."""

    def __init__(self, folder: pathlib.Path, primary: PostgreSQLServer, standby: PostgreSQLServer) -> None:
        self.directory, self.primary, self.standby = folder, primary, standby
        for name in ("local", "second"):
            (folder / name).mkdir()
        (folder / "password").write_text(PASSWORD + "\n")
        (folder / "password").chmod(0o600)

    def connection(self, server: PostgreSQLServer) -> Json:
        return {
            "host": "127.0.0.1",
            "port": server.port,
            "user": "postgres",
            "database": "postgres",
            "password_file": str(self.directory / "password"),
        }

    def inventory(self) -> pathlib.Path:
        keep = {"repositories": ["local", "second"], "keep": {"within": "7d"}}
        standby = {
            "name": "dr",
            "region": "central",
            "inventory_host": "away",
            "connection": self.connection(self.standby),
        }
        service = {
            "name": "adhd",
            "objectives": {"rpo": "1h", "rto": "15m"},
            "regions": [
                {"name": "west", "role": "primary", "hosts": ["home"]},
                {"name": "central", "role": "standby", "hosts": ["away"]},
            ],
            "sources": [
                {
                    "name": "main",
                    "engine": "postgresql",
                    "connection": self.connection(self.primary),
                    "fencing": {"data_directory": str(self.primary.data_directory), "command": "true --the-host"},
                    "standbys": [standby],
                    "backups": [{"kind": "base", **keep}],
                }
            ],
        }
        variables = {
            "lifeboat_services": [service],
            "lifeboat_repositories": {
                name: {"type": "file", "path": str(self.directory / name)} for name in ("local", "second")
            },
            "lifeboat_settings": {"state_directory": str(self.directory / "state")},
        }
        document = {
            "all": {
                "hosts": {"home": variables, "away": {}},
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            }
        }
        path = self.directory / "inventory.yml"
        path.write_text(yaml.safe_dump(document))
        return path

    def play(self, **variables: t.Any) -> tuple[Played, Json]:
        told = self.directory / "readiness.json"
        named = {
            "lifeboat_service": "adhd",
            "lifeboat_repository": "local,second",
            "lifeboat_readiness_json": str(told),
            **variables,
        }
        arguments = ["--inventory", str(self.inventory()), "-e", json.dumps(named)]
        played = run_playbook(self, *arguments, playbook=_PLAYBOOK)
        return played, json.loads(told.read_text()) if told.exists() else {}

    def stored(self) -> list[str]:
        return sorted(str(path) for name in ("local", "second") for path in (self.directory / name).rglob("*"))


@pytest.fixture
def site(tmp_path: pathlib.Path) -> t.Iterator[Site]:
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(PostgreSQLServer(password=PASSWORD))
        standby = stack.enter_context(PostgreSQLServer.standby_of(primary))
        site = Site(tmp_path, primary, standby)
        host = Host()
        storages = {
            name: open_storage(
                {"type": "file", "path": str(tmp_path / name)}, name=name, clock=host.clock, runner=host.runner
            )
            for name in ("local", "second")
        }
        made = host.clock.now().strftime("%Y%m%dT%H%M%SZ-aaaaaa")
        backup = described(made, service="adhd", engine="postgresql", kind="base", repositories=("local", "second"))
        for storage in storages.values():
            put_backup(storage, backup)
            put_verification(storage, backup, {"local": 4, "second": 4}, number=0)
        write_failover(storages)
        yield site


def test_what_is_well_and_what_is_lost_with_each_part(site: Site) -> None:
    wait_for(lambda: site.primary.query("SELECT count(*) FROM pg_stat_replication") == [(1,)])
    before = site.stored()
    played, readiness = site.play(lifeboat_readiness_minimum=80)
    assert played.status == 0, played.output
    codes = {one["code"] for one in readiness["findings"]}
    # Nobody has made a slot, or described a name; whether the last run was long ago is for the calendar to say.
    assert codes <= {"slot.none", "dns.none", "exercise.old", "capacity.small"}, readiness
    assert "slot.none" in codes
    assert {"backups", "ledger", "fencing", "approvals"} <= set(readiness["well"])
    assert site.stored() == before
    assert PASSWORD not in played.output + json.dumps(readiness)

    site.standby.stop()
    (site.directory / "second").rename(site.directory / "gone")
    refused, readiness = site.play(
        lifeboat_readiness_minimum=80,
        lifeboat_readiness_findings=[{"area": "dns", "severity": "high", "code": "dns.rights", "what": "No right."}],
    )
    assert refused.status != 0
    assert f"is ready to {readiness['score']} of 100, and 80 are asked for" in " ".join(refused.output.split())
    severities = {one["code"]: one["severity"] for one in readiness["findings"]}
    assert severities["standby.silent"] == "critical"
    assert severities["backup.unreadable"] == "high"
    assert severities["ledger.unwritable"] == "high"
    assert severities["dns.rights"] == "high"
    assert readiness["score"] <= 49
