# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role that plays include when they have deployed, the module, and the playbooks: as Ansible runs them."""

from __future__ import annotations

import json
import pathlib
import re
import socket
import sys
import typing as t

import pytest
import yaml

from tests.integration.ansible.plays import ROOT, Played, plays_of, run_modules, run_playbook
from tests.integration.files.app_site import JOB, AppSite
from tests.support.children import ENGINE
from tests.support.git_repositories import Repository

pytestmark = pytest.mark.slow
CONFIRM = f"files on {socket.gethostname()}"


@pytest.fixture
def site(tmp_path: pathlib.Path) -> AppSite:
    return AppSite.make(tmp_path)


def include(site: AppSite, *words: str, **variables: t.Any) -> tuple[Played, list[dict[str, t.Any]]]:
    """A play that includes the role; how it ended, and its fact where it came so far."""
    program, noted = site.directory / "lifeboat", site.directory / "noted.json"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT}/.collections exec {sys.executable} -m {ENGINE} "$@"\n')
    program.chmod(0o755)
    noted.unlink(missing_ok=True)
    description = json.loads(site.lifeboat.configuration.read_text())
    keep = {"content": "{{ app_backup_results | to_json }}", "dest": str(noted), "mode": "0600"}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "app_backup_program": str(program),
            "app_backup_configuration": str(site.lifeboat.configuration),
            **description,
            **variables,
        },
        "tasks": [
            {
                "block": [
                    {"name": "Keep", "ansible.builtin.include_role": {"name": "lifeboat.recovery.app_backup"}},
                ],
                "always": [{"name": "Note", "ansible.builtin.copy": keep, "check_mode": False, "changed_when": False}],
            }
        ],
    }
    playbook = site.directory / "deploy.yml"
    playbook.write_text(yaml.safe_dump([play]))
    played = run_playbook(site, "--inventory", "web1,", *words, playbook=playbook)
    return played, json.loads(noted.read_text()) if noted.exists() else []


def changes(played: Played) -> int:
    assert played.status == 0, played.output
    found = re.search(r"changed=([0-9]+)", played.output)
    assert found, played.output
    return int(found[1])


@pytest.mark.newest
def test_a_play_that_deploys_keeps_what_it_deployed(site: AppSite) -> None:
    played, results = include(site, "--check")
    assert changes(played) == 1
    assert results[0]["plan"]["facts"]["version"] == "v2.0"
    assert site.lifeboat("list --json").document["backups"] == []
    site.deploy()
    chosen = {"app_backup_always": True, "app_backup_jobs": ["shop/code"]}
    played, results = include(site, app_backup_labels={"release": "7.2", "by": "a play"}, **chosen)
    assert changes(played) == 1
    assert (results[0]["job"], results[0]["backup"]["state"]) == (JOB, "complete")
    assert results[0]["backup"]["content"]["repositories"][0]["branch"] == "main"
    shown = site.lifeboat(f"show {results[0]['backup']['id']} --json").document["manifest"]
    assert shown["labels"] == {"job": JOB, "release": "7.2", "by": "a play"}
    played, again = include(site)
    assert changes(played) == 0
    assert again[0]["backup"]["state"] == "unchanged"


def test_a_play_is_refused_where_nothing_would_be_kept(site: AppSite) -> None:
    played, _results = include(site, app_backup_jobs=["shop/cod"])
    assert played.status != 0
    assert "has no job shop/cod of the kind app" in played.output
    assert JOB in played.output
    site.describe(job={"kind": "config", "triggers": ["change"]})
    played, _results = include(site)
    assert played.status != 0
    assert "It has: none" in played.output
    site.describe(source={"connection": {"paths": [f"{site.app.path}/gone"]}})
    played, results = include(site, "--check")  # before anything is deployed
    assert played.status != 0
    assert f"Not on this host: {site.app.path}/gone" in played.output
    assert results[0]["error"]["code"] == "files.missing"


def test_modules_and_playbooks_take_applications(site: AppSite) -> None:
    common: dict[str, t.Any] = {
        "service": "shop",
        "source": "code",
        "kind": "app",
        "repositories": [{"name": "local", "type": "file", "path": str(site.repository), "create": True}],
        "state_directory": str(site.directory / "state"),
    }
    make = {**common, "connection": {"paths": [str(site.app.path)]}, "trigger": "deployment"}
    planned, made, unchanged, refused = run_modules(
        site,
        ("files_backup", {**make, "tree": True}, "check"),
        ("files_backup", make),
        ("files_backup", make),
        ("files_backup", {**make, "kind": "config", "git_bundle": True}),
    )
    assert planned["plan"]["facts"]["version"] == "v2.0", planned.get("msg")
    assert made["backup"]["state"] == "complete", made.get("msg")
    assert not unchanged["changed"], unchanged.get("msg")
    assert "has no option git_bundle" in refused["msg"]

    (site.app.path / "app.py").write_text("broken\n")
    fails = site.directory / "fails"
    fails.write_text("#!/bin/sh\nexit 7\n")
    fails.chmod(0o755)
    restore = {**common, "point": "newest", "in_place": True, "confirm": CONFIRM}
    failed, beside = run_modules(
        site,
        ("files_restore", {**restore, "redeploy": [str(fails)]}),
        (
            "files_restore",
            {**common, "point": "newest", "take": "repositories", "data_directory": str(site.directory / "code")},
        ),
    )
    assert failed["code"] == "restore.redeploy_failed"
    assert (failed["restore"]["state"], failed["restore"]["content"]["counts"]["changed"]) == ("finished", 1)
    assert (site.app.path / "app.py").read_text() == "print('mended in production')\n"
    assert Repository(site.restored(site.directory / "code")).refs() == site.app.refs(), beside.get("msg")

    reloaded = site.directory / "reloaded"
    site.describe(source={"redeploy": ["/usr/bin/touch", str(reloaded)]})
    play = plays_of(site)
    assert "1 unchanged" in play("backup", "-e", "lifeboat_trigger=deployment")
    (site.app.path / "app.py").write_text("broken\n")
    words = ["-e", f"lifeboat_restore={JOB} lifeboat_restore_point=newest", "-e", "lifeboat_restore_in_place=true"]
    play("restore", *words, "-e", json.dumps({"lifeboat_restore_confirm": CONFIRM}))
    assert (site.app.path / "app.py").read_text() == "print('mended in production')\n"
    assert reloaded.exists()
