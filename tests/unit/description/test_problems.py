# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each mistake in a description is found where it is, named in words, and never alone: all of them are listed."""

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid
from tests.unit.description.samples import MISSING, RECIPIENT, changed, description

SERVICE = "lifeboat_services.0"
MONGODB, REDIS, FILES = (f"{SERVICE}.sources.{index}" for index in range(3))
POSTGRESQL = "lifeboat_services.1.sources.0"
IN_SERVICE = "lifeboat_services[0] (family)"
IN_MONGODB = f"{IN_SERVICE} > sources[0] (main)"
IN_REDIS = f"{IN_SERVICE} > sources[1] (cache)"
IN_FILES = f"{IN_SERVICE} > sources[2] (settings)"
IN_POSTGRESQL = "lifeboat_services[1] (adhd) > sources[0] (main)"


def problems(data: t.Any) -> list[dict[str, str]]:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_description(data)
    found: list[dict[str, str]] = caught.value.details["problems"]
    for problem in found:
        assert problem["path"] in caught.value.message
        assert problem["problem"] in caught.value.message
        assert problem["hint"] in caught.value.message
    return found


def test_the_sample_has_no_problem() -> None:
    assert load_description(description()).warnings == ()


CASES: list[tuple[str, t.Any, str, str, str]] = [
    # path, value, where the problem is, what it is, hint
    # applications
    (
        f"{SERVICE}.applications.0.stop_command",
        "/usr/local/bin/api stop",
        f"{IN_SERVICE} > applications[0] (api) > stop_command",
        "is of no use without start_command.",
        "Add start_command.",
    ),
    (
        f"{SERVICE}.applications.0",
        {"name": "api", "unit": "api", "stop_command": "api stop", "start_command": "api start"},
        f"{IN_SERVICE} > applications[0] (api) > stop_command",
        "contradicts unit.",
        "Give a unit or commands, not both.",
    ),
    (
        f"{SERVICE}.applications.0",
        {"name": "api", "role": "acme.shop.deploy"},
        f"{IN_SERVICE} > applications[0] (api) > role",
        "says how it starts, and nothing says how it is stopped.",
        "Add unit, or stop_command and start_command.",
    ),
    (
        f"{REDIS}.service_control",
        {"start_command": "cache start"},
        f"{IN_REDIS} > service_control > start_command",
        "is of no use without stop_command.",
        "Add stop_command.",
    ),
    (
        f"{REDIS}.redeploy",
        ["systemctl", "restart", "cache"],
        f"{IN_REDIS} > redeploy",
        "is for files.",
        "service_control",
    ),
    # unknown keys
    (
        "lifeboat_service",
        [],
        "lifeboat_service",
        "unknown key; did you mean 'lifeboat_services'?",
        "Allowed here: lifeboat_r",
    ),
    (
        f"{MONGODB}.backups.0.repositorys",
        [],
        f"{IN_MONGODB} > backups[0] > repositorys",
        "did you mean 'repositories'?",
        "",
    ),
    (
        f"{MONGODB}.connection.urifile",
        "x",
        f"{IN_MONGODB} > connection > urifile",
        "did you mean 'uri_file'?",
        "uri_env",
    ),
    (f"{MONGODB}.connection.port", 1, f"{IN_MONGODB} > connection > port", "unknown key", "Allowed here: uri"),
    (f"{REDIS}.backups.0.options", {"x": 1}, f"{IN_REDIS} > backups[0] > options > x", "unknown key", "here"),
    (
        f"{POSTGRESQL}.backups.0.options",
        {"hold_wal": "auto"},
        f"{IN_POSTGRESQL} > backups[0] > options > hold_wal",
        "unknown",
        "",
    ),
    (
        f"{POSTGRESQL}.backups.0.keep.dayly",
        1,
        f"{IN_POSTGRESQL} > backups[0] > keep > dayly",
        "did you mean 'daily'?",
        "",
    ),
    ("lifeboat_repositories.local.bucket", "b", "lifeboat_repositories > local > bucket", "unknown key", "path"),
    ("lifeboat_repositories.offsite.path", "/b", "lifeboat_repositories > offsite > path", "unknown key", "bucket"),
    ("lifeboat_settings.time_zone", "UTC", "lifeboat_settings > time_zone", "did you mean 'timezone'?", ""),
    (f"{SERVICE}.degraded", {}, f"{IN_SERVICE} > degraded", "did you mean 'degraded_mode'?", ""),
    # what is missing
    ("lifeboat_services", MISSING, "the description", "lifeboat_services is missing", ""),
    (f"{MONGODB}.name", MISSING, f"{IN_SERVICE} > sources[0]", "name is missing", ""),
    (f"{MONGODB}.backups.0.kind", MISSING, f"{IN_MONGODB} > backups[0]", "kind is missing", ""),
    (f"{FILES}.connection.paths", MISSING, f"{IN_FILES} > connection", "paths is missing", ""),
    ("lifeboat_repositories.local.type", MISSING, "lifeboat_repositories > local", "type is missing", ""),
    ("lifeboat_repositories.local.path", MISSING, "lifeboat_repositories > local", "path is missing", ""),
    (f"{MONGODB}.backups.0.repositories", [], f"{IN_MONGODB} > backups[0] > repositories", "is an empty list", ""),
    (f"{MONGODB}.backups.0.schedule", None, f"{IN_MONGODB} > backups[0] > schedule", "is empty; it must be text", ""),
    (f"{SERVICE}.objectives", {}, f"{IN_SERVICE} > objectives", "is empty; it needs at least 1 key", ""),
    # wrong kinds of values
    ("lifeboat_services", {}, "lifeboat_services", "must be a list, not a mapping", ""),
    (
        f"{MONGODB}.backups.0.schedule",
        5,
        f"{IN_MONGODB} > backups[0] > schedule",
        "must be text, not a whole number",
        "quotes",
    ),
    (f"{MONGODB}.backups.0.repositories.0", 5, f"{IN_MONGODB} > backups[0] > repositories[0]", "must be text", ""),
    (f"{REDIS}.connection.port", "6379", f"{IN_REDIS} > connection > port", "must be a whole number, not text", ""),
    (f"{REDIS}.connection.port", 70000, f"{IN_REDIS} > connection > port", "must be at most 65535", ""),
    (f"{REDIS}.connection.timeout", 0, f"{IN_REDIS} > connection > timeout", "must be more than 0", ""),
    (
        "lifeboat_settings.scratch_memory_mib",
        0,
        "lifeboat_settings > scratch_memory_mib",
        "must be at least 128",
        "",
    ),
    (
        "lifeboat_settings.compression",
        {"level": 22},
        "lifeboat_settings > compression > level",
        "must be at most 19",
        "",
    ),
    (
        "lifeboat_settings.compression",
        {"method": "gzip"},
        "lifeboat_settings > compression > method",
        "'gzip' is not",
        "",
    ),
    ("lifeboat_repositories.local.folder_mode", "rwx", "lifeboat_repositories > local > folder_mode", "is refused", ""),
    (
        f"{FILES}.backups.0.triggers",
        ["change", "change"],
        f"{IN_FILES} > backups[0] > triggers",
        "names something twice",
        "",
    ),
    (
        f"{FILES}.backups.0.triggers",
        ["chnage"],
        f"{IN_FILES} > backups[0] > triggers[0]",
        "not one of",
        "mean 'change'?",
    ),
    (
        f"{SERVICE}.alerts.0.backup_failed",
        False,
        f"{IN_SERVICE} > alerts[0] (silent) > backup_failed",
        "can only be True",
        "",
    ),
    # times that can't be
    (f"{SERVICE}.objectives.rpo", "15", f"{IN_SERVICE} > objectives > rpo", "it has no unit", "15m"),
    (f"{MONGODB}.backups.0.keep.within", "3 months", f"{IN_MONGODB} > backups[0] > keep > within", "months differ", ""),
    (
        f"{MONGODB}.backups.0.schedule",
        "0 25 * * *",
        f"{IN_MONGODB} > backups[0] > schedule",
        "25 is not between 0 and 23",
        "",
    ),
    (f"{MONGODB}.backups.0.schedule", "0 0 30 2 *", f"{IN_MONGODB} > backups[0] > schedule", "never comes", ""),
    (f"{MONGODB}.verify.schedule", "daily", f"{IN_MONGODB} > verify > schedule", "has 1 fields and not 5", "quotes"),
    (
        f"{SERVICE}.exercises.0.schedule",
        "0 0 * *",
        f"{IN_SERVICE} > exercises[0] (drill) > schedule",
        "has 4 fields",
        "",
    ),
    ("lifeboat_settings.timezone", "Berlin", "lifeboat_settings > timezone", "is unknown here", ""),
    # retention
    (f"{MONGODB}.backups.0.keep", {}, f"{IN_MONGODB} > backups[0] > keep", "names nothing to keep", "within: 30d"),
    (
        f"{MONGODB}.backups.0.keep",
        {"minimum_verified": 2},
        f"{IN_MONGODB} > backups[0] > keep",
        "names nothing to keep",
        "",
    ),
    (f"{MONGODB}.backups.0.keep.forever", True, f"{IN_MONGODB} > backups[0] > keep", "forever contradicts within", ""),
    (f"{MONGODB}.backups.0.keep.daily", 0, f"{IN_MONGODB} > backups[0] > keep > daily", "must be at least 1", ""),
    (
        f"{MONGODB}.backups.1.keep",
        MISSING,
        f"{IN_MONGODB} > backups[1] > repositories[0]",
        "nothing says how long 'local' keeps these backups",
        "Add keep",
    ),
    (
        f"{POSTGRESQL}.backups.2.repositories.0.keep",
        {},
        f"{IN_POSTGRESQL} > backups[2] (weekly-base) > repositories[0] (local) > keep",
        "names nothing to keep",
        "",
    ),
    # names
    (f"{SERVICE}.name", "Family", "lifeboat_services[0] (Family) > name", "'Family' can't be a name", "lower-case"),
    (f"{SERVICE}.name", "a/b", "lifeboat_services[0] (a/b) > name", "'a/b' can't be a name", ""),
    (f"{SERVICE}.name", "x" * 64, f"lifeboat_services[0] ({'x' * 63}) > name", "can't be a name", ""),
    (
        "lifeboat_repositories.S3",
        {"type": "file", "path": "/b"},
        "lifeboat_repositories > S3",
        "'S3' can't be a name",
        "",
    ),
    (
        "lifeboat_services.1.name",
        "family",
        "lifeboat_services[1] (family) > name",
        "is the name of entry 0 already",
        "",
    ),
    (f"{REDIS}.name", "main", f"{IN_SERVICE} > sources[1] (main) > name", "is the name of entry 0 already", ""),
    (
        f"{POSTGRESQL}.backups.1.name",
        "logical",
        f"{IN_POSTGRESQL} > backups[1] (logical)",
        "the second backup of the source that is called 'logical'",
        "",
    ),
    (
        f"{POSTGRESQL}.backups.2.name",
        "wal",
        f"{IN_POSTGRESQL} > backups[2] (wal) > name",
        "'wal' is the name of another kind",
        "",
    ),
    (f"{SERVICE}.alerts.1", {"name": "silent"}, f"{IN_SERVICE} > alerts[1] (silent) > name", "entry 0 already", ""),
    (
        f"{MONGODB}.verify.questions.1",
        {"name": "users"},
        f"{IN_MONGODB} > verify > questions[1] (users) > name",
        "entry 0",
        "",
    ),
    (
        f"{MONGODB}.standbys.1",
        {"name": "second", "connection": {}},
        f"{IN_MONGODB} > standbys[1] (second) > name",
        "'second' is the name of entry 0 already",
        "",
    ),
    (
        f"{SERVICE}.dns.1",
        {"name": "api.example.org", "type": "A", "ttl": 60},
        f"{IN_SERVICE} > dns[1] (api.example.org) > name",
        "is described with the type A in entry 0 already",
        "",
    ),
    (
        f"{SERVICE}.dns.1",
        {"name": "API.example.org.", "type": "CNAME", "ttl": 60},
        f"{IN_SERVICE} > dns[1] (API.example.org.) > type",
        "can't be a CNAME beside the type A",
        "",
    ),
    (
        f"{SERVICE}.exercises.0.checks.2",
        {"name": "answers", "standby_reachable": "second"},
        f"{IN_SERVICE} > exercises[0] (drill) > checks[2] (answers) > name",
        "'answers' is the name of entry 0 already",
        "",
    ),
    # what leads nowhere
    (
        f"{MONGODB}.backups.0.repositories.1",
        "ofsite",
        f"{IN_MONGODB} > backups[0] > repositories[1]",
        "mean 'offsite'?",
        "has: local",
    ),
    (
        f"{MONGODB}.backups.0.repositories.1",
        "local",
        f"{IN_MONGODB} > backups[0] > repositories[1]",
        "a second time",
        "",
    ),
    (
        f"{MONGODB}.backups.0.repositories.1",
        "history",
        f"{IN_MONGODB} > backups[0] > repositories[1]",
        "is a git repository",
        "",
    ),
    (
        f"{MONGODB}.classes",
        ["critcal"],
        f"{IN_MONGODB} > classes[0]",
        "no class 'critcal'; did you mean 'critical'?",
        "It has",
    ),
    (
        f"{MONGODB}.standbys.0.region",
        "south",
        f"{IN_MONGODB} > standbys[0] (second) > region",
        "no region 'south'",
        "north",
    ),
    (f"{SERVICE}.applications.0.region", "s", f"{IN_SERVICE} > applications[0] (api) > region", "no region 's'", ""),
    (
        f"{SERVICE}.applications.0.code",
        {"path": "/opt", "source": "code"},
        f"{IN_SERVICE} > applications[0] (api) > code > source",
        "no source 'code'",
        "",
    ),
    (
        f"{SERVICE}.dns.0.values.south",
        ["192.0.2.2"],
        f"{IN_SERVICE} > dns[0] (api.example.org) > values > south",
        "no region",
        "",
    ),
    (
        f"{SERVICE}.alerts.0.jobs",
        ["main/ful"],
        f"{IN_SERVICE} > alerts[0] (silent) > jobs[0]",
        "did you mean 'main/full'?",
        "",
    ),
    (
        f"{SERVICE}.exercises.0.sources",
        ["mian"],
        f"{IN_SERVICE} > exercises[0] (drill) > sources[0]",
        "mean 'main'?",
        "",
    ),
    (
        f"{SERVICE}.exercises.0.checks.0.standby_reachable",
        "third",
        f"{IN_SERVICE} > exercises[0] (drill) > checks[0] (answers) > standby_reachable",
        "no standby 'third'",
        "second",
    ),
    (
        f"{SERVICE}.exercises.0.checks.1.deployment_dry_run",
        "ap",
        f"{IN_SERVICE} > exercises[0] (drill) > checks[1] (deploys) > deployment_dry_run",
        "no application 'ap'; did you mean 'api'?",
        "",
    ),
    (
        f"{SERVICE}.exercises.0.checks.2",
        {"name": "asks", "question": {"name": "users", "redis": ["DBSIZE"]}},
        f"{IN_SERVICE} > exercises[0] (drill) > checks[2] (asks)",
        "does not say which source",
        "Add source",
    ),
    # what doesn't fit together
    (
        f"{MONGODB}.engine",
        "mongo",
        f"{IN_MONGODB} > engine",
        "'mongo' is not one of: mongodb",
        "Did you mean 'mongodb'?",
    ),
    (
        f"{MONGODB}.backups.0.kind",
        "rdb",
        f"{IN_MONGODB} > backups[0] > kind",
        "'rdb' is not one of: full",
        "a kind of redis",
    ),
    (f"{MONGODB}.backups.0.kind", "ful", f"{IN_MONGODB} > backups[0] > kind", "'ful' is not one of", "mean 'full'?"),
    (
        "lifeboat_repositories.local.type",
        "S3",
        "lifeboat_repositories > local > type",
        "'S3' is not one of: file, s3, git",
        "",
    ),
    (
        "lifeboat_repositories.local.path",
        "backups",
        "lifeboat_repositories > local > path",
        "not an absolute path",
        "slash",
    ),
    (f"{FILES}.connection.paths.1", "etc", f"{IN_FILES} > connection > paths[1]", "is not an absolute path", ""),
    (
        f"{FILES}.spares",
        [
            {
                "name": "far",
                "region": "south",
                "connection": {"paths": ["/etc"]},
                "options": {"in_place": False, "data_directory": "/srv/etc"},
                "ahead": True,
            }
        ],
        f"{IN_FILES} > spares[0] (far) > ahead",
        "goes with a restore in place only",
        "Leave out options.in_place, or ahead.",
    ),
    (
        f"{MONGODB}.connection.uri_env",
        "URI",
        f"{IN_MONGODB} > connection",
        "uri is given 2 times: uri_file, uri_env",
        "one",
    ),
    (f"{MONGODB}.verify.require_tables", ["t"], f"{IN_MONGODB} > verify > require_tables", "is for postgresql", ""),
    (
        f"{MONGODB}.verify.questions.0",
        {"name": "users", "sql": "select 1"},
        f"{IN_MONGODB} > verify > questions[0] (users) > sql",
        "is for postgresql, and the source is mongodb",
        "",
    ),
    (
        f"{MONGODB}.verify.questions.0",
        {"name": "users"},
        f"{IN_MONGODB} > verify > questions[0] (users)",
        "exactly one of sql, count, find, aggregate, redis must be given.",
        "",
    ),
    (
        f"{SERVICE}.alerts.0.backup_failed",
        True,
        f"{IN_SERVICE} > alerts[0] (silent)",
        "must be given, not backup_failed and no_success_within together",
        "",
    ),
    (
        "lifeboat_repositories.offsite.credentials",
        {"file": "/f", "profile": "p"},
        "lifeboat_repositories > offsite > credentials",
        "must be given, not file and profile together",
        "",
    ),
    (
        f"{SERVICE}.notifications.mail.password_file",
        None,
        f"{IN_SERVICE} > notifications > mail > password_file",
        "is empty; it must be text",
        "",
    ),
    # encryption
    ("lifeboat_settings.encryption", {}, "lifeboat_settings > encryption", "is empty", ""),
    ("lifeboat_settings.encryption", {"method": "age"}, "lifeboat_settings > encryption", "names no recipient", ""),
    (
        "lifeboat_settings.encryption",
        {"method": "none", "recipients": [RECIPIENT]},
        "lifeboat_settings > encryption",
        "method none contradicts recipients",
        "",
    ),
    (
        "lifeboat_settings.encryption",
        {"recipients": ["ssh-rsa AAAA"]},
        "lifeboat_settings > encryption > recipients[0]",
        "'ssh-rsa AAAA'... is not a public key of age",
        "age1",
    ),
    (
        "lifeboat_settings.encryption",
        {"recipients": [RECIPIENT[:-1]]},
        "lifeboat_settings > encryption > recipients[0]",
        "has 61 characters and not 62",
        "",
    ),
    # what YAML makes of things
    (
        f"{SERVICE}.description",
        datetime.date(2026, 1, 1),
        f"{IN_SERVICE} > description",
        "YAML reads this as a date",
        "quotes",
    ),
    (f"{SERVICE}.description", {1, 2}, f"{IN_SERVICE} > description", "is a set, which JSON does not have", ""),
]


@pytest.mark.parametrize(
    ("path", "value", "where", "text", "hint"), CASES, ids=[f"{case[2]}-{case[3]}" for case in CASES]
)
def test_a_mistake_is_found(path: str, value: t.Any, where: str, text: str, hint: str) -> None:
    found = problems(changed(path, value))
    matching = [
        problem
        for problem in found
        if problem["path"] == where and text in problem["problem"] and hint in problem["problem"] + problem["hint"]
    ]
    assert matching, found


def test_yaml_1_1_reads_on_as_true() -> None:
    data = description()
    data["lifeboat_services"][0]["sources"][0]["backups"][0][True] = ["change"]
    (problem,) = problems(data)
    assert problem["path"] == f"{IN_MONGODB} > backups[0]"
    assert problem["problem"] == "has the key True."
    assert "YAML reads on" in problem["hint"]


def test_a_key_that_is_a_number_is_named() -> None:
    (problem,) = problems(changed("lifeboat_settings", {8: 1}))
    assert problem["problem"] == "has the key 8, which is not text."


def test_a_structure_that_contains_itself_ends() -> None:
    endless: list[t.Any] = []
    endless.append(endless)
    assert "is nested too deeply." in {problem["problem"] for problem in problems(changed(f"{SERVICE}.dns", endless))}


def test_all_problems_are_listed_at_once() -> None:
    data = changed(f"{MONGODB}.backups.0.schedule", "0 25 * * *")
    data["lifeboat_repositories"]["local"]["paht"] = "/x"
    data["lifeboat_services"][1]["name"] = "family"
    data["lifeboat_services"][1]["sources"][0]["backups"][0]["repositories"] = ["locl"]
    with pytest.raises(ConfigurationInvalid) as caught:
        load_description(data)
    assert caught.value.message.startswith("The description has 4 problems:\n  - ")
    assert caught.value.message.count("\n  - ") == 4
    assert caught.value.exit_status == 2
    assert "docs/description.md" in caught.value.hint


@pytest.mark.parametrize("nonsense", [None, [], "text", 5, True])
def test_what_is_no_mapping_is_refused(nonsense: t.Any) -> None:
    with pytest.raises(ConfigurationInvalid, match="must be a mapping"):
        load_description(nonsense)


SECRET = "AGE-SECRET-KEY-1HUNTER2HUNTER2"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("lifeboat_settings.encryption", {"recipients": [SECRET]}),
        (f"{REDIS}.connection.password", [SECRET]),
        (f"{REDIS}.connection.password", {"x": SECRET}),
        (f"{REDIS}.connection.pasword", SECRET),
        (f"{REDIS}.connection", SECRET),
        (f"{MONGODB}.connection.uri", {"uri": SECRET}),
        (f"{SERVICE}.notifications.webhooks", {"base_url": "x", "token": 5, "x": SECRET}),
    ],
)
def test_no_message_quotes_a_secret(path: str, value: t.Any) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_description(changed(path, value))
    assert "HUNTER2" not in str(caught.value) + str(caught.value.as_dict())


def test_a_secret_key_as_recipient_is_called_exposed() -> None:
    (problem,) = problems(changed("lifeboat_settings.encryption", {"recipients": [SECRET]}))
    assert "SECRET key" in problem["problem"]
    assert "exposed" in problem["hint"]


def test_a_recipient_of_a_plugin_is_taken() -> None:
    load_description(
        changed(
            "lifeboat_settings.encryption", {"recipients": ["age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95"]}
        )
    )
