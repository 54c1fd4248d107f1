# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``dr_failover.yml`` killed at each of its steps, one after another; and a region without any standby."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import typing as t

import psycopg2
import pytest

from sandbox.ports import free_port
from sandbox.postgresql_host import as_user, operating_system_user
from tests.integration.ansible.plays import PASSWORD
from tests.integration.ansible.region_site import Regions, two_regions

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]


@pytest.fixture
def regions(tmp_path: pathlib.Path) -> t.Iterator[Regions]:
    with two_regions(tmp_path) as found:
        yield found


@pytest.mark.parametrize("delay", [0.0, 1.0])
def test_it_ends_in_the_same_state_though_it_is_killed_at_every_step(regions: Regions, delay: float) -> None:
    regions.lose_north()
    _checked, confirm = regions.planned(lifeboat_accept_data_loss=True)
    word = {"lifeboat_accept_data_loss": True, "lifeboat_confirm": confirm}
    evidence_file = regions.directory / "evidence.json"
    steps = [
        *("freeze-north1", "fence-main", "cut-cache", "promote-main", "verify-main", "restore-cache"),
        *("rewire-api-south-south1", "health-api-south-south1", "watch", "backup-main"),
    ]
    deaths = []
    for step in steps:
        if step in regions.finished():
            continue  # it was quick, and the run before was killed in a later one
        regions.play_until(step, delay=delay, **word)
        deaths.append(step)
        word["lifeboat_resume"] = "run-0001"
    played = regions.play(**word, lifeboat_evidence=str(evidence_file))
    assert played.status == 0, played.output
    assert regions.finished() == steps
    resumed = [one["event"] for one in regions.entries()].count("resumed")
    print(f"{len(steps)} steps, killed {delay:g} s after {', '.join(deaths)}; resumed {resumed} times")
    assert resumed == len(deaths)
    assert json.loads(evidence_file.read_text())["sources"]["main"]["timeline_after"] == 2
    assert regions.standby.query("SELECT count(*) FROM ledger") == [(500,)]
    with regions.spare.client() as client:
        assert client.get("key:49") == b"49"
    assert regions.south.is_well()


def test_a_region_without_any_standby_is_made_anew_from_backups(regions: Regions) -> None:
    regions.lifeboat("backup adhd/main --quiet").succeeded()
    regions.lifeboat("verify adhd/main --quiet").succeeded()
    regions.primary.query("INSERT INTO ledger VALUES (9999)")
    regions.lose_north()
    regions.standby.stop()
    port, folder = free_port(), regions.standby.directory / "fresh"
    # In its place on this machine is the lost one; one beside it is reached by nobody unless it says where it listens.
    beside = {"in_place": False, "listen_addresses": "127.0.0.1"}
    spare = {
        "name": "fresh",
        "region": "south",
        "inventory_host": "south1",
        "connection": {**regions.connection(regions.standby), "port": port},
        "repositories": ["local"],
        "options": {**beside, "data_directory": str(folder), "port": port, "start": True},
    }
    # A server of its own has no unit: that nobody reaches the old one is the word of a command.
    main = {"standbys": [], "spares": [spare], "fencing": {"command": "true"}}
    regions = dataclasses.replace(regions, main=main)
    try:
        _checked, confirm = regions.planned()
        played = regions.play(lifeboat_confirm=confirm)
        assert played.status == 0, played.output
        address = {"host": "127.0.0.1", "port": port, "user": "postgres", "password": PASSWORD}
        with contextlib.closing(psycopg2.connect(**address)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM ledger")
            assert cursor.fetchall() == [(500,)], "all of the backup, and nothing of after it"
        assert f"DATABASE_PORT={port}\n" in regions.south.environment.read_text()
        assert regions.south.is_well()
    finally:
        stop = [str(regions.standby.program("pg_ctl")), "-D", str(folder), "-m", "immediate", "stop"]
        subprocess.run([*as_user(operating_system_user()), *stop], check=False, cwd="/")
