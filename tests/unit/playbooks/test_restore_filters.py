# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/restore.yml`` decides before it starts, whom it asks afterwards, and what it says at its end."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import pytest
import yaml

from tests.unit.description.samples import changed, description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter import restore_play, restore_questions

Json = dict[str, t.Any]
APPLICATIONS, REGIONS = "lifeboat_services.0.applications", "lifeboat_services.0.regions"
GROUPS = {"north": ["one", "two"], "south": ["three"]}


def found(what: str, data: Json | None = None) -> list[Json]:
    data = data or description()
    return restore_play.restorable(
        data["lifeboat_services"], data["lifeboat_repositories"], data.get("lifeboat_settings"), what
    )


def target(what: str, data: Json | None = None) -> Json:
    (one,) = found(what, data)
    return one


@pytest.mark.parametrize(
    ("what", "kind", "module"),
    [
        ("family/main/full", "full", "mongo_restore"),
        ("family/main", "full", "mongo_restore"),  # the only kind of it that can be restored
        ("family/cache", "rdb", "redis_restore"),
        ("family/settings", "config", "files_restore"),
        ("adhd/main/logical.2", "logical", "pg_logical_restore"),
        ("adhd/main/weekly-base", "base", "pg_base_restore"),
        (["adhd/main/base/"], "base", "pg_base_restore"),
    ],
)
def test_what_is_restored_is_named_by_kind_or_by_job(what: t.Any, kind: str, module: str) -> None:
    one = target(what)
    assert (one["kind"], one["module"]) == (kind, module)


@pytest.mark.parametrize("what", ["family/main/fulll", "familly/main/full", "family/maine"])
def test_what_this_host_does_not_have_is_nothing(what: str) -> None:
    assert found(what) == []


def test_what_this_version_can_not_restore_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {kind: module for kind, module in restore_play.MODULES.items() if kind[0] != "files"}
    monkeypatch.setattr(restore_play, "MODULES", known)
    with pytest.raises(AnsibleFilterError, match="can't be restored by this version"):
        found("family/settings/config")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("adhd/main", "has backups of the kinds logical, base: say which"),
        ("family", "does not say what to restore"),
        ("family/main/full,adhd/main/base", "does not say what to restore"),
        ("family/main/oplog", "mongodb oplog can't be restored"),
    ],
)
def test_what_is_not_one_thing_is_refused(what: str, said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        found(what)


def test_options_go_over_what_the_description_says() -> None:
    cache = target("family/cache/rdb", changed("lifeboat_services.0.sources.1.service_control", {"unit": "redis"}))
    assert restore_play.restore_options(cache, {}) == {"connection": {"port": 6379}}
    assert restore_play.restore_options(cache, {"connection": {"port": 7000}}, in_place=True) == {
        "in_place": True,
        "service_control": {"unit": "redis"},
        "connection": {"port": 7000},
    }
    given = {"in_place": True, "service_control": {"stop_command": "a", "start_command": "b"}}
    assert restore_play.restore_options(cache, given)["service_control"] == given["service_control"]


def test_what_is_run_after_a_restore_of_files_is_the_source_s_unless_said_otherwise() -> None:
    argv = ["systemctl", "reload", "nginx"]
    settings = target("family/settings/config", changed("lifeboat_services.0.sources.2.redeploy", argv))
    assert restore_play.restore_options(settings, {}, in_place=True)["redeploy"] == argv
    assert restore_play.restore_options(settings, {"redeploy": []}, in_place=True)["redeploy"] == []
    assert "redeploy" not in restore_play.restore_options(settings, {"data_directory": "/root/restored"})


def test_an_option_that_the_module_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(AnsibleFilterError, match=r"redis_restore has no option into\. It has: allow_replicas, "):
        restore_play.restore_options(target("family/cache/rdb"), {"into": "x"})
    with pytest.raises(AnsibleFilterError, match="data_directory"):
        restore_play.restore_options(target("adhd/main/base"), {})


@pytest.mark.parametrize(
    ("dumped", "expected"),
    [
        ([{"databases": ["shop"]}, {"databases": "shop"}], "shop"),
        ([{"databases": ["shop", "log"]}, {"databases": "shop"}], None),
        ([{"databases": "all"}, {"databases": "all"}], None),
        ([{}, {}], None),
    ],
)
def test_the_only_database_of_a_dump_need_not_be_named(dumped: list[Json], expected: str | None) -> None:
    data = description()
    for backup, options in zip(data["lifeboat_services"][1]["sources"][0]["backups"], dumped, strict=False):
        backup["options"] = options
    one = target("adhd/main/logical", data)
    assert restore_play.restore_options(one, {}).get("database") == expected
    assert "database" not in restore_play.restore_options(one, {"data_directory": "/srv/copy"})


def places(applications: list[Json], regions: list[Json], host: str = "one") -> list[Json]:
    data = changed(APPLICATIONS, applications)
    data["lifeboat_services"][0].update(regions=regions, dns=[], exercises=[])
    for source in data["lifeboat_services"][0]["sources"]:
        source.pop("standbys", None)
    return restore_play.application_places(target("family/cache/rdb", data), host, GROUPS)


REGION_LIST = [
    {"name": "up", "role": "primary", "hosts": ["north"]},
    {"name": "down", "role": "standby", "hosts": ["south"]},
]


def test_an_application_stands_still_on_every_host_of_its_region_and_in_no_other() -> None:
    applications = [
        {"name": "api", "unit": "api", "port": 8000, "region": "up", "health": {"path": "/health", "timeout": "1m"}},
        {"name": "far", "unit": "api", "region": "down"},
        {"name": "near", "stop_command": "a", "start_command": "b", "health": {"command": "c"}},
    ]
    found_places = places(applications, REGION_LIST)
    assert [(one["name"], one["host"]) for one in found_places] == [("api", "one"), ("api", "two"), ("near", "one")]
    assert found_places[0]["health"] == {
        "url": "http://127.0.0.1:8000/health",
        "command": None,
        "status": 200,
        "timeout": 60,
    }
    assert found_places[2]["health"]["command"] == "c"
    assert not any(one["outside"] for one in found_places)


def test_what_runs_on_kubernetes_only_is_outside() -> None:
    applications = [
        {"name": "pods", "kubernetes": {"deployment": "api"}, "region": "up"},
        {"name": "both", "kubernetes": {"deployment": "api"}, "unit": "api"},
    ]
    assert [(one["name"], one["outside"]) for one in places(applications, REGION_LIST)] == [
        ("pods", True),
        ("both", False),
    ]


ROOT = pathlib.Path(__file__).parents[3]
# A recovery config is one of playbooks/full_restore.yml: see test_full_restore_filters.py.
EXAMPLES = sorted(
    set((ROOT / "playbooks/examples").glob("*.yml")) - set((ROOT / "playbooks/examples").glob("*-config.yml"))
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_restores_what_its_inventory_describes(example: pathlib.Path) -> None:
    variables = yaml.safe_load(example.read_text())
    name = example.stem.partition("-")[0]
    data: Json = {}
    for path in (ROOT / f"inventories/{name}/group_vars/{name}").glob("*.yml"):
        data.update(yaml.safe_load(path.read_text()))
    one = target(variables["lifeboat_restore"], data)
    options = restore_play.restore_options(
        one, variables.get("lifeboat_restore_options"), in_place=variables.get("lifeboat_restore_in_place", False)
    )
    assert ("service_control" in options) is variables.get("lifeboat_restore_in_place", False)
    assert variables.get("lifeboat_repository", "local") in [each["name"] for each in one["repositories"]]
    assert example.name in (ROOT / "playbooks/examples/README.md").read_text()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


QUESTION = {"name": "users", "sql": "select count(*) from users", "database": "shop", "min": 1}


def asked(
    question: Json, connect: str, options: Json, facts: Json | None = None, *, module: str = "pg_logical_restore"
) -> list[str] | None:
    (one,) = restore_questions.recovery_questions(
        {"questions": [question], "module": module}, {"connect": connect}, {"facts": facts or {}}, options
    )
    return t.cast("list[str] | None", one["argv"])


def test_a_question_follows_its_database_to_its_new_name() -> None:
    options = {"database": "shop", "connection": {"password_file": "/etc/pw"}}
    argv = asked(QUESTION, "psql -h db -p 5432 -U me shop_recovery", options)
    assert argv is not None
    assert argv[3:7] == ["lifeboat", "", "/etc/pw", ""]
    assert argv[7:] == [
        "psql",
        "-XAtqw",
        "-h",
        "db",
        "-p",
        "5432",
        "-U",
        "me",
        "-d",
        "shop_recovery",
        "-c",
        QUESTION["sql"],
    ]
    assert asked({**QUESTION, "database": "other"}, "psql -h db -p 1 -U me shop_recovery", options) is None


def test_a_cluster_of_its_own_is_asked_as_its_account() -> None:
    options = {"connection": {"password_file": "/etc/pw", "bin_directory": "/usr/lib/pg"}}
    argv = asked(QUESTION, "psql -p 5433 -U postgres", options, {"account": "postgres"})
    assert argv is not None
    assert argv[4:8] == ["postgres", "", "", "/usr/lib/pg/psql"]
    assert argv[-4:] == ["-d", "shop", "-c", QUESTION["sql"]]


def test_a_copy_of_a_cluster_has_the_users_and_passwords_of_its_source() -> None:
    connection = {"user": "lifeboat", "password_file": "/etc/pw"}
    connect = "psql -h /srv/copy -p 5433 -U postgres -d postgres"
    argv = asked(QUESTION, connect, {"connection": connection}, {"account": "postgres"}, module="pg_base_restore")
    assert argv is not None
    assert argv[4:7] == ["", "/etc/pw", ""]
    assert argv[9:15] == ["-h", "/srv/copy", "-p", "5433", "-U", "lifeboat"]
    argv = asked(QUESTION, connect, {"connection": {}}, {"account": "postgres"}, module="pg_base_restore")
    assert argv is not None
    assert argv[4:7] == ["postgres", "", ""]
    assert "postgres" in argv[9:]


def test_a_cluster_that_came_back_in_its_place_is_asked_where_its_source_answered() -> None:
    connection = {"host": "127.0.0.1", "port": 5440, "user": "lifeboat", "password_file": "/etc/pw"}
    connect = "psql -U postgres -d postgres"
    options = {"connection": connection, "in_place": True}
    argv = asked(QUESTION, connect, options, {"account": "postgres"}, module="pg_base_restore")
    assert argv is not None
    assert argv[4:7] == ["", "/etc/pw", ""]
    assert argv[9:15] == ["-h", "127.0.0.1", "-p", "5440", "-U", "lifeboat"]
    # The account of the server comes in by the socket.
    connection.pop("password_file")
    argv = asked(QUESTION, connect, options, {"account": "postgres"}, module="pg_base_restore")
    assert argv is not None
    assert argv[4:7] == ["postgres", "", ""]
    assert argv[9:13] == ["-p", "5440", "-U", "postgres"]


def test_a_redis_of_its_own_is_asked_by_its_password_and_without_the_user_that_only_its_source_has() -> None:
    connection = {"username": "lifeboat", "password_file": "/etc/pw"}
    question = {"name": "keys", "redis": ["DBSIZE"]}
    beside = asked(question, "redis-cli -p 20001", {"connection": connection})
    there = asked(question, "redis-cli -p 6379", {"connection": connection, "in_place": True})
    assert beside is not None
    assert there is not None
    assert beside[4:] == ["", "/etc/pw", "", "redis-cli", "-p", "20001", "DBSIZE"]
    assert there[4:] == ["", "/etc/pw", "", "redis-cli", "-p", "6379", "--user", "lifeboat", "DBSIZE"]


@pytest.mark.parametrize(
    ("question", "connect"),
    [
        ({"name": "users", "count": {"collection": "users"}}, "mongosh mongodb://x"),
        ({"name": "gone", "redis": ["FLUSHALL"]}, "redis-cli -s /x/redis.sock"),
        (QUESTION, "pg_ctl -D /srv/copy start"),
    ],
)
def test_what_no_client_can_ask_or_may_is_not_asked(question: Json, connect: str) -> None:
    assert asked(question, connect, {"connection": {}}) is None
    result = {"skipped": True, "lifeboat_asked": {"question": question, "argv": None}}
    (check,) = restore_questions.judged([result])
    assert check["state"] == "skipped"


def test_the_script_reads_the_password_from_its_file_and_puts_it_nowhere(tmp_path: pathlib.Path) -> None:
    (tmp_path / "pw").write_text("secret\n")
    argv = asked({"name": "keys", "redis": ["DBSIZE"]}, "printenv REDISCLI_AUTH PGPASSWORD", {})
    assert argv is None
    argv = asked(QUESTION, "psql -U me shop", {"database": "shop", "connection": {"password_file": f"{tmp_path}/pw"}})
    assert argv is not None
    assert "secret" not in " ".join(argv)
    done = subprocess.run(
        [*argv[:7], "printenv", "PGPASSWORD", "PGOPTIONS"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["secret", "-cdefault_transaction_read_only=on"]


@pytest.mark.parametrize(
    ("result", "state", "answer"),
    [
        ({"rc": 0, "stdout": "7\n"}, "passed", 7),
        ({"rc": 0, "stdout": "0\n"}, "failed", 0),
        ({"rc": 0, "stdout": "\n"}, "failed", None),
        ({"rc": 0, "stdout": "seven\n"}, "failed", "seven"),
        ({"rc": 2, "stdout": "", "stderr": "no such table"}, "failed", None),
    ],
)
def test_answers_are_held_against_what_is_right(result: Json, state: str, answer: t.Any) -> None:
    (check,) = restore_questions.judged([{**result, "lifeboat_asked": {"question": QUESTION, "argv": ["x"]}}])
    assert (check["state"], check["found"]) == (state, answer)
    assert "no such table" in check["message"] or result["rc"] == 0


RESTORED = {
    "id": "20261121T101112Z-8c1f02",
    "target": "redis at db:6379",
    "backup": {"id": "ID", "reason": "the newest verified"},
    "seconds": 3.25,
    "where": "here",
    "connect": "redis-cli",
    "aside": ["/data/dump.rdb.before"],
    "warnings": ["look"],
}


def test_the_report_has_time_objective_and_answers() -> None:
    (check,) = restore_questions.judged(
        [{"rc": 0, "stdout": "0", "lifeboat_asked": {"question": QUESTION, "argv": []}}]
    )
    lines = restore_questions.restore_report(RESTORED, [check], objectives={"rto": "1h"})
    assert lines[:2] == [
        "redis at db:6379: restored from ID (the newest verified)",
        "  took 3.2 s; the objective is 1h",
    ]
    assert "  warning: look" in lines
    assert lines[-1] == "users: 0 is less than 1"
    told = {**QUESTION, "min": None}
    checks = restore_questions.judged([{"rc": 0, "stdout": "9", "lifeboat_asked": {"question": told, "argv": []}}])
    assert restore_questions.restore_report(RESTORED, checks)[-1].split() == ["users", "reported", "9"]


def test_the_way_back_names_the_restore_and_quotes_its_target() -> None:
    lines = restore_questions.way_back(RESTORED, state_directory="/s", host="one")
    assert "  lifeboat restore --roll-back 20261121T101112Z-8c1f02 --confirm 'redis at db:6379'" in lines
    assert "  lifeboat restore --discard 20261121T101112Z-8c1f02 --confirm 'redis at db:6379'" in lines
    beside = restore_questions.way_back({**RESTORED, "aside": []}, state_directory="/s", host="one")
    assert beside[1:] == ["Nothing was moved aside: what was there before is untouched."]


def test_mongodb_is_restored_beside_unless_it_is_said_otherwise() -> None:
    full = target("family/main/full")
    assert restore_play.restore_options(full, {})["suffix"] == "_recovery"
    assert "suffix" not in restore_play.restore_options(full, {}, in_place=True)
    assert "suffix" not in restore_play.restore_options(full, {"rename": {"a": "b"}})
