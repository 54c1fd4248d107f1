# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of the engines on real servers: check, do, again, put back; and what they say and keep silent about."""

from __future__ import annotations

import json
import pathlib
import re
import sys
import typing as t

import pytest
import yaml

from tests.integration.ansible.plays import PASSWORD, Json, Lab, Played, run_playbook
from tests.support.children import ENGINE, ROOT

OWN = "lifeboats-own-word-61d7"
ENGINES = ("mongodb", "postgresql", "redis")


def describe(lab: Lab) -> Json:
    """One shop with a source of each engine, whose jobs come as accounts that are not there yet."""
    more = {"schedule": "0 2 * * *", "repositories": ["local"], "keep": {"within": "7d"}}
    sources = [
        {
            "name": "main",
            "engine": "postgresql",
            "connection": {
                "host": "127.0.0.1",
                "port": lab.postgresql.port,
                "user": "lifeboat",
                "database": "postgres",
                # By value on purpose: nothing of what a play shows may hold it.
                "password": OWN,
            },
            "backups": [{"kind": "logical", **more}, {"kind": "wal", **more}],
        },
        {
            "name": "documents",
            "engine": "mongodb",
            "connection": {"uri": lab.mongodb.uri_of("lifeboat", OWN)},
            "backups": [{"kind": "full", **more}],
        },
        {
            "name": "cache",
            "engine": "redis",
            "connection": {"port": lab.redis.port, "username": "lifeboat", "password": OWN},
            "backups": [{"kind": "rdb", **more}],
        },
    ]
    return {
        "lifeboat_repositories": {"local": {"type": "file", "path": str(lab.local)}},
        "lifeboat_settings": {"state_directory": str(lab.directory / "state")},
        "lifeboat_services": [{"name": "shop", "sources": sources}],
        "postgresql_backup_administrator": lab.connection("postgresql"),
        "postgresql_backup_replace_archiving": True,
        "mongodb_backup_administrator": lab.connection("mongodb"),
        "redis_backup_administrator": lab.connection("redis"),
    }


def play(lab: Lab, *, states: t.Sequence[str], check: bool = False, python: str = sys.executable) -> Played:
    """The three roles once for each state; what changed is in the results, by state and role."""
    results = lab.directory / "results.json"
    results.unlink(missing_ok=True)
    tasks: list[Json] = []
    for number, state in enumerate(states):
        for engine in ENGINES:
            role = f"{engine}_backup"
            tasks += [
                {
                    "name": f"Have {engine} {state}",
                    "ansible.builtin.include_role": {"name": f"lifeboat.recovery.{role}"},
                    "vars": {f"{role}_state": state, f"{role}_python": python},
                },
                {
                    "name": "Remember it",
                    "ansible.builtin.set_fact": {
                        f"result_{number}_{engine}": f"{{{{ {role}_prepared | default({{}}) }}}}"
                    },
                },
            ]
    names = [f"result_{number}_{engine}" for number in range(len(states)) for engine in ENGINES]
    tasks.append(
        {
            "name": "Keep the results",
            "ansible.builtin.copy": {
                "content": f"{{{{ [{', '.join(names)}] | to_json }}}}",
                "dest": str(results),
                "mode": "0600",
            },
            "check_mode": False,
            "diff": False,
        }
    )
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **describe(lab)}
    playbook = lab.directory / "play.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    arguments = ["--inventory", "localhost,", "--diff", "-v", *(["--check"] if check else [])]
    return run_playbook(lab, *arguments, playbook=playbook, results=results)


def everything(lab: Lab) -> list[t.Any]:
    """The accounts, and what stands in PostgreSQL's own settings."""
    with lab.mongodb.client() as client:
        users = client.admin.command("usersInfo")["users"]
    automatic = (lab.postgresql.data_directory / "postgresql.auto.conf").read_text()
    return [
        sorted(map(str, lab.postgresql.query("SELECT rolname FROM pg_roles"))),
        [line for line in automatic.splitlines() if not line.startswith("#")],
        sorted(str(user["user"]) for user in users),
        sorted(map(str, lab.redis.client().execute_command("ACL", "USERS"))),
    ]


@pytest.mark.long
@pytest.mark.newest
@pytest.mark.newest_first
def test_check_do_again_and_put_back(lab: Lab) -> None:
    before = everything(lab)
    checked = play(lab, states=["present"], check=True)
    assert checked.status == 0, checked.output
    assert everything(lab) == before, "check mode touched something"
    for said in (
        "+role lifeboat: LOGIN BYPASSRLS",
        "+user lifeboat: in admin, with backup",
        "+user lifeboat: -@all +ping",
    ):
        assert said in checked.output

    done = play(lab, states=["present", "present", "absent"])
    assert done.status == 0, done.output
    changes = [result["changed"] for result in done.results]
    assert changes == [True] * 3 + [False] * 3 + [True] * 3
    assert everything(lab) == before
    assert [result["results"][0]["restart_needed"] for result in done.results[:3]] == [False] * 3
    for secret in (OWN, PASSWORD):
        assert secret not in checked.output + done.output
        assert secret not in json.dumps([checked.results, done.results])


def test_a_host_without_the_agent_is_told_what_is_lacking(lab: Lab) -> None:
    nowhere = str(lab.directory / "nowhere/python")
    checked = play(lab, states=["present"], check=True, python=nowhere)
    assert checked.status == 0, checked.output
    assert "prepares the server for shop/main/logical, shop/main/wal" in checked.output
    refused = play(lab, states=["present"], python=nowhere)
    assert refused.status != 0
    assert re.search(r"The role\s+agent comes first", refused.output)


def test_site_prepares_only_what_a_host_has_and_can_be_told_to_leave_it(lab: Lab) -> None:
    plays = yaml.safe_load(pathlib.Path("playbooks/site.yml").read_text(encoding="utf-8"))
    task, *_looks = next(one for one in plays if "give what their backups need" in one["name"])["tasks"]
    assert "map(attribute='engine') | unique" in task["loop"]
    assert "lifeboat_prepare" in task["when"]
    removing = [one["name"] for one in yaml.safe_load(pathlib.Path("playbooks/remove.yml").read_text(encoding="utf-8"))]
    # The agent brings the libraries and holds the notes: it goes last.
    assert [name for name in removing if "Put the servers back" in name or "Remove the engine" in name] == removing[-2:]


def test_files_that_can_not_be_backed_up_are_known_before_the_night(lab: Lab) -> None:
    there, missing = lab.directory / "settings", lab.directory / "nowhere"
    there.mkdir()
    (there / "shop.conf").write_text("open = true\n")
    configuration = lab.directory / "config.json"
    program = lab.directory / "lifeboat"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT}/.collections exec {sys.executable} -m {ENGINE} "$@"\n')
    program.chmod(0o755)
    backup = {"kind": "config", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"within": "7d"}}
    outcomes = []
    for paths, more in (
        ([there], {}),
        ([there, missing], {}),
        ([there, missing], {"files_backup_allow_missing": True}),
    ):
        source = {
            "name": "settings",
            "engine": "files",
            "connection": {"paths": [str(path) for path in paths]},
            "backups": [backup],
        }
        description = {
            **{name: value for name, value in describe(lab).items() if name.startswith("lifeboat_")},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        }
        configuration.write_text(json.dumps(description))
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "files_backup_program": str(program),
            "files_backup_configuration": str(configuration),
            **description,
            **more,
        }
        role = {"name": "Look", "ansible.builtin.include_role": {"name": "lifeboat.recovery.files_backup"}}
        playbook = lab.directory / "files.yml"
        playbook.write_text(
            yaml.safe_dump([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [role]}])
        )
        played = run_playbook(lab, "--inventory", "localhost,", "--check", playbook=playbook)
        outcomes.append((played.status == 0, f"{missing}" in played.output))
    assert outcomes == [(True, False), (False, True), (True, True)]
    assert list(lab.local.iterdir()) == []
