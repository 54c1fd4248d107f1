# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/verify.yml`` and ``playbooks/restore.yml`` as an operator runs them: real servers, a real application."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t

import pytest
import yaml

from sandbox.ports import free_port
from tests.integration.ansible.plays import PASSWORD, ROOT, Json, Lab, Played, run_module, run_playbook
from tests.integration.ansible.recovery_site import Application, Site
from tests.integration.redis.daemons import Daemon
from tests.support.waiting import wait_for

JOBS = {
    ("one", "family/main/full"),
    ("one", "family/cache/rdb"),
    ("two", "adhd/main/logical"),
    ("two", "adhd/main/base"),
}


@pytest.fixture(scope="module")
def site(servers: Lab, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    """Everything backed up once; tests add verifications, restores beside, and put back what they replace."""
    folder = tmp_path_factory.mktemp("site")
    passable = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-", dir="/var/tmp"))
    passable.chmod(0o755)
    made = Site(
        lab=servers.in_folder(folder),
        open=passable,
        redis=Daemon(folder=folder / "redis"),
        application=Application(folder=folder / "application"),
    )
    made.application.write()
    made.redis.start()
    try:
        with made.redis.client() as client:
            client.mset({f"key:{number}": "x" * 50 for number in range(33)})
        played = made.play("backup")
        assert played.status == 0, played.output
        yield made
    finally:
        made.redis.stop()
        made.application.end()
        shutil.rmtree(passable)


def told(played: Played) -> dict[tuple[str, str], list[str]]:
    """The summary's rows by host and backups: the cells of each row after them."""
    rows = {}
    for line in played.output.splitlines():
        cells = re.split(r"\s{2,}", line.strip().strip('",'))
        if len(cells) > 3 and cells[0] in ("one", "two") and "/" in cells[1]:
            rows[cells[0], cells[1]] = cells[2:]
    return rows


def words(played: Played) -> str:
    """The output without its line breaks, quotes and JSON's escapes."""
    return " ".join(played.output.replace('\\"', '"').split())


def verifications(folder: pathlib.Path, job: str) -> list[Json]:
    return [json.loads(path.read_text()) for path in sorted((folder / job).rglob("verification-*.json"))]


@pytest.mark.newest
def test_everything_is_proved_to_the_last_level_and_no_scratch_copy_is_left(site: Site) -> None:
    played = site.play("verify", "-vv")
    assert played.status == 0, played.output
    rows = told(played)
    assert set(rows) == JOBS
    assert {row[0] for row in rows.values()} == {"passed"}
    assert {row[2] for row in rows.values()} == {"4 of 4"}
    assert all(re.fullmatch(r"[0-9.]+ s", row[4]) for row in rows.values())  # measured, each of them
    assert "4 looked at: 4 passed." in played.output
    for _host, job in JOBS:
        (document,) = verifications(site.lab.local, job)
        assert (document["state"], document["reached"]) == ("passed", 4)
        assert set(document["copies"]) == {"local", "offsite"}
    asked = {check["name"] for check in verifications(site.lab.local, "adhd/main/base")[0]["checks"]}
    assert "users" in asked
    assert "named-users" not in asked  # only after a recovery
    assert list((site.open / "scratch").iterdir()) == []
    assert PASSWORD not in played.output


def test_a_damaged_backup_is_told_loudly_after_all_others_were_looked_at(site: Site, tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(site.lab.local, copy)
    payload = next(path for path in (copy / "family/cache/rdb").rglob("*.rdb*"))
    data = bytearray(payload.read_bytes())
    data[len(data) // 2] ^= 1
    payload.write_bytes(data)
    described = site.services()
    described.pop("two")
    for source in described["one"][0]["sources"]:
        source["backups"][0]["repositories"] = ["local"]
    played = site.play(
        "verify",
        "-e",
        "lifeboat_verify_level=1",
        described=described,
        lifeboat_repositories={"local": {"type": "file", "path": str(copy)}},
    )
    assert played.status != 0
    rows = told(played)
    assert {key: row[0] for key, row in rows.items()} == {
        ("one", "family/main/full"): "passed",
        ("one", "family/cache/rdb"): "failed",
    }
    assert rows["one", "family/cache/rdb"][2] == "0 of 1"
    assert "2 looked at: 1 passed, 1 failed." in played.output
    assert "family/cache/rdb failed: " in played.output


def test_the_controller_proves_what_it_can_read_and_nobody_else(site: Site) -> None:
    state = site.lab.directory / "state-of-the-controller"
    before = verifications(site.lab.local, "family/cache/rdb")
    arguments = ("-e", f"lifeboat_verify_on=controller lifeboat_state_directory={state}")
    played = site.play("verify", *arguments, "-e", "lifeboat_jobs=family/cache", "-e", "lifeboat_progress=1")
    assert played.status == 0, played.output
    assert {key: (row[0], row[-1]) for key, row in told(played).items()} == {
        ("one", "family/cache/rdb"): ("passed", "localhost")
    }
    assert verifications(site.lab.local, "family/cache/rdb") == before  # it was not given the folder
    assert state.is_dir()


def test_check_mode_says_what_would_be_proved_and_changes_nothing(site: Site) -> None:
    before = site.lab.stored()
    played = site.play("verify", "--check", "-e", "lifeboat_jobs=family/cache", "-e", "lifeboat_verify_which=sample")
    assert played.status == 0, played.output
    assert {row[0] for row in told(played).values()} == {"planned"}
    assert site.lab.stored() == before


def test_a_dump_comes_back_beside_production_and_is_asked(site: Site) -> None:
    options = {"into": "users_recovery", "jobs": 1}
    planned = site.restore("adhd/main/logical", "--check", options=options, lifeboat_restore_point="newest")
    assert planned.status == 0, planned.output
    assert "adhd/main/logical would be restored into users_recovery" in planned.output
    assert "replaces nothing that exists" in planned.output
    with site.lab.postgresql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        assert ("users_recovery",) not in cursor.fetchall()

    played = site.restore("adhd/main/logical", "-vv", options=options, lifeboat_restore_point="newest")
    try:
        assert played.status == 0, played.output
        assert re.search(r"named-users +passed +500", played.output)
        assert re.search(r"users +passed +500", played.output)
        assert "Nothing was moved aside" in played.output
        assert PASSWORD not in played.output
        with site.lab.postgresql.connect("users_recovery") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM users")
            assert cursor.fetchone() == (500,)
    finally:
        connection = site.lab.postgresql.connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("DROP DATABASE IF EXISTS users_recovery")
        connection.close()


def test_a_fresh_cluster_is_made_of_a_dump_and_a_wrong_answer_is_told_at_the_end(
    site: Site, tmp_path: pathlib.Path
) -> None:
    described = site.services()
    questions = described["two"][0]["sources"][0]["verify"]["questions"]
    questions[1]["equals"] = 501
    folder = site.open / "cluster"
    options = {"data_directory": str(folder), "port": free_port()}
    variables = {"lifeboat_restore": "adhd/main/logical", "lifeboat_restore_options": options}
    variables["lifeboat_restore_point"] = "newest"
    played = site.play("restore", "-e", json.dumps(variables), described=described)
    try:
        assert played.status != 0
        assert re.search(r"named-users +failed +500", played.output), played.output
        assert "named-users: 500 is not 501" in played.output
        assert f"cluster in {folder}, port {options['port']}" in played.output
    finally:
        stop_cluster(folder)


def stop_cluster(folder: pathlib.Path) -> None:
    file = folder / "postmaster.pid"
    if file.exists():
        pid = int(file.read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}/exe"))


@pytest.mark.newest
def test_redis_in_place_stops_the_application_and_the_way_back_works(site: Site) -> None:
    subprocess.run(["sh", site.application.folder / "start"], check=True)
    with site.redis.client() as client:
        client.set("written later", "1")

    refused = site.restore("family/cache/rdb", lifeboat_restore_in_place=True, lifeboat_restore_point="newest")
    assert refused.status != 0
    name = re.search(r"lifeboat_restore_confirm='([^']+)'", words(refused))
    assert name, refused.output
    assert site.application.diary == ["started"]

    wanted = {
        "lifeboat_restore_in_place": True,
        "lifeboat_restore_point": "newest",
        "lifeboat_restore_confirm": name[1],
        "lifeboat_repository": "offsite",
    }
    played = site.restore("family/cache/rdb", **wanted)
    assert played.status == 0, played.output
    assert re.search(r"from \S+ in offsite: the newest", played.output)
    assert "stops and starts: api on one" in played.output
    assert site.application.diary == ["started", "stopped", "started"]
    assert site.application.is_well()
    assert re.search(r"keys +passed +33", played.output)
    with site.redis.client() as client:
        assert client.dbsize() == 33

    restore_id = re.search(r"--roll-back (\S+)", played.output)
    assert restore_id, played.output
    done = run_module(
        site.lab,
        "restore_finish",
        {
            "restore_id": restore_id[1],
            "action": "roll_back",
            "confirm": name[1],
            "repositories": site.lab.repositories,
            "state_directory": str(site.lab.directory / "state"),
        },
    )
    assert not done.get("failed"), done
    with site.redis.client() as client:
        assert client.get("written later") == b"1"


def test_what_pods_use_is_not_replaced_until_somebody_stopped_them(site: Site) -> None:
    described = site.services()
    described.pop("two")
    described["one"][0]["applications"] = [{"name": "pods", "kubernetes": {"deployment": "api"}}]
    variables = {
        "lifeboat_restore": "family/cache/rdb",
        "lifeboat_restore_in_place": True,
        "lifeboat_restore_point": "newest",
        "lifeboat_restore_confirm": f"redis at 127.0.0.1:{site.redis.port}",
    }
    pid = site.redis.pid
    played = site.play("restore", "-e", json.dumps(variables), described=described)
    assert played.status != 0
    assert "pods runs on Kubernetes and uses what would be replaced." in words(played)
    assert "lifeboat_restore_applications=leave" in played.output
    assert site.redis.pid == pid


def test_a_restore_that_fails_leaves_the_old_data_and_the_application_runs(site: Site, tmp_path: pathlib.Path) -> None:
    """The fault: one bit of the only copy is flipped, which is seen when it is read, with everything stopped."""
    copy = tmp_path / "copy"
    shutil.copytree(site.lab.local, copy)
    payload = next(path for path in (copy / "family/cache/rdb").rglob("*.rdb*"))
    data = bytearray(payload.read_bytes())
    data[len(data) // 2] ^= 1
    payload.write_bytes(data)
    described = site.services()
    for source in described["one"][0]["sources"]:
        source["backups"][0]["repositories"] = ["local"]
    described.pop("two")
    if not site.application.is_well():
        subprocess.run(["sh", site.application.folder / "start"], check=True)
    diary = site.application.diary
    with site.redis.client() as client:
        client.set("precious", "1")
    target = f"redis at 127.0.0.1:{site.redis.port}"
    variables = {
        "lifeboat_restore": "family/cache/rdb",
        "lifeboat_restore_in_place": True,
        "lifeboat_restore_point": "newest",
        "lifeboat_restore_confirm": target,
        "lifeboat_health_wait": 20,
    }
    played = site.play(
        "restore",
        "-e",
        json.dumps(variables),
        described=described,
        lifeboat_repositories={"local": {"type": "file", "path": str(copy)}},
    )
    assert played.status != 0
    assert "Not restored." in played.output
    assert "What was there before is there again; started again: api." in words(played)
    assert site.application.diary == [*diary, "stopped", "started"]
    assert site.application.is_well()
    with site.redis.client() as client:
        assert client.get("precious") == b"1"


def test_mongodb_comes_back_beside_production(site: Site) -> None:
    options = {"databases": ["shop"], "rename": {"shop": "shop_recovery"}}
    played = site.restore("family/main", options=options, lifeboat_restore_point="newest", lifeboat_progress=1)
    client = site.lab.mongodb.client()
    try:
        assert played.status == 0, played.output
        assert client["shop_recovery"]["orders"].count_documents({}) == 700
        assert client["shop"]["orders"].count_documents({}) == 700
        assert PASSWORD not in played.output
    finally:
        client.drop_database("shop_recovery")
        client.close()


def test_applications_that_do_not_start_or_get_well_are_noted_each(lab: Lab) -> None:
    """The tasks alone, without a restore around them."""
    nothing = {"unit": None, "stop_command": None, "start_command": None, "host": "localhost"}
    lame = {**nothing, "name": "lame", "start_command": "/bin/false", "health": None}
    sick = {
        **nothing,
        "name": "sick",
        "health": {"url": None, "command": "/bin/false", "status": 200, "timeout": 1},
    }
    silent = {
        **nothing,
        "name": "silent",
        "health": {"url": f"http://127.0.0.1:{free_port()}/", "command": None, "status": 200, "timeout": 1},
    }
    tasks = ROOT / "playbooks/tasks/restore"
    each = {"loop_control": {"loop_var": "lifeboat_application", "label": "one"}}
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"lifeboat_health_wait": 1, "ansible_python_interpreter": sys.executable},
            "tasks": [
                {"ansible.builtin.set_fact": {"lifeboat_unwell": []}},
                {"ansible.builtin.include_tasks": f"{tasks}/start.yml", "loop": [lame], **each},
                {"ansible.builtin.include_tasks": f"{tasks}/health.yml", "loop": [sick, silent], **each},
                {
                    "name": "Told",
                    "ansible.builtin.debug": {"msg": "{{ lifeboat_unwell | length }} noted: {{ lifeboat_unwell }}"},
                },
            ],
        }
    ]
    playbook = lab.directory / "play.yml"
    playbook.write_text(yaml.safe_dump(play))
    played = run_playbook(lab, "--inventory", "localhost,", "--connection", "local", playbook=playbook)
    assert played.status == 0, played.output
    for said in (
        "3 noted: ",
        "lame on localhost did not start: ",
        "sick on localhost is not well: ",
        "silent on localhost is not",
    ):
        assert said in played.output


def test_what_is_not_one_thing_is_refused_before_anything_runs(site: Site) -> None:
    played = site.restore("adhd/main")
    assert played.status != 0
    assert "has backups of the kinds logical, base: say which" in words(played)
    assert "No host has" not in played.output
