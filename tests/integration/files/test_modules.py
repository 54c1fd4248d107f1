# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules and the playbooks, as Ansible runs them: check, do, again; and the way back."""

from __future__ import annotations

import json
import typing as t

import pytest

from tests.integration.ansible.plays import plays_of, run_modules
from tests.integration.files.conftest import CONFIRM, Site

pytestmark = pytest.mark.slow


@pytest.mark.newest
def test_back_up_verify_and_restore_by_modules(site: Site) -> None:
    common: dict[str, t.Any] = {
        "service": "shop",
        "source": "conf",
        "repositories": [{"name": "local", "type": "file", "path": str(site.repository), "create": True}],
        "state_directory": str(site.directory / "state"),
    }
    make = {**common, "connection": {"paths": [str(site.tree)], "exclude": ["*.key"]}}
    planned, made, unchanged, proved, same = run_modules(
        site,
        ("files_backup", make, "check"),
        ("files_backup", make),
        ("files_backup", {**make, "trigger": "change"}),
        (
            "backup_verify",
            {
                **common,
                "require_paths": [str(site.tree / "server.conf")],
                "files": {"compare_times": True},
                "scratch_directory": str(site.directory / "scratch"),
            },
        ),
        ("files_restore", {**common, "in_place": True}, "check"),
    )
    assert planned["changed"], planned.get("msg")
    assert planned["plan"]["facts"]["roots"] == [str(site.tree)]
    assert made["changed"], made.get("msg")
    assert made["backup"]["state"] == "complete"
    assert not unchanged["changed"], unchanged.get("msg")
    assert (unchanged["backup"]["state"], unchanged["backup"]["id"]) == ("unchanged", made["backup"]["id"])
    assert proved["verifications"][0]["state"] == "passed", proved.get("msg")
    assert same["plan"]["replaces"] is None, same.get("msg")

    (site.tree / "server.conf").write_text("broken\n")
    restore = {**common, "in_place": True, "paths": [str(site.tree / "server.conf")]}
    planned, refused, restored, beside = run_modules(
        site,
        ("files_restore", restore, "check"),
        ("files_restore", restore),
        ("files_restore", {**restore, "confirm": CONFIRM}),
        ("files_restore", {**common, "data_directory": str(site.directory / "beside")}),
    )
    assert planned["plan"]["replaces"] == CONFIRM, planned.get("msg")
    assert f"{site.tree}/server.conf: replaced (content)" in planned["diff"]["after"]
    assert refused["code"] == "restore.confirmation_missing"
    assert restored["restore"]["content"]["counts"]["changed"] == 1, restored.get("msg")
    assert (site.tree / "server.conf").read_text() == "listen 80;\nworkers 4;\n"
    assert beside["restore"]["content"]["entries"] == 12, beside.get("msg")
    (discarded,) = run_modules(
        site,
        (
            "restore_finish",
            {
                "restore_id": restored["restore"]["id"],
                "action": "discard",
                "confirm": CONFIRM,
                "repositories": common["repositories"],
                "state_directory": common["state_directory"],
            },
        ),
    )
    assert discarded["restore"]["removed"] == restored["restore"]["aside"], discarded.get("msg")


def test_the_playbooks_take_jobs_of_files(site: Site) -> None:
    site.describe(options={"system_snapshot": True}, verify={"level": 4, "require_paths": [str(site.tree)]})
    play = plays_of(site)
    assert "1 complete" in play("backup", "--tags", "files")
    assert "1 unchanged" in play("backup", "-e", "lifeboat_trigger=change")
    assert "1 passed" in play("verify")
    (site.tree / "server.conf").write_text("broken\n")
    words = ["-e", "lifeboat_restore=shop/conf/config", "-e", "lifeboat_restore_in_place=true"]
    assert f"{site.tree}/server.conf: replaced (content)" in play("restore", *words, "--check", "--diff")
    assert (site.tree / "server.conf").read_text() == "broken\n"
    play("restore", *words, "-e", json.dumps({"lifeboat_restore_confirm": CONFIRM}))
    assert (site.tree / "server.conf").read_text() == "listen 80;\nworkers 4;\n"
