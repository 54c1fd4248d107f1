# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a description to jobs: defaults, ids, selection, warnings, files."""

from __future__ import annotations

import datetime
import json
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
    read_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ConfigurationInvalid,
    ConfigurationUnreadable,
    JobUnknown,
)
from tests.unit.description.samples import RECIPIENT, changed, description

EVERY = [
    "family/main/full",
    "family/main/oplog",
    "family/cache/rdb",
    "family/settings/config",
    "adhd/main/logical",
    "adhd/main/logical.2",
    "adhd/main/weekly-base",
]
MONGODB = "lifeboat_services.0.sources.0"
REDIS = "lifeboat_services.0.sources.1"


def ids(*select: str) -> list[str]:
    return [job.id for job in load_description(description()).jobs(select)]


def test_every_backup_is_a_job_in_the_order_of_the_description() -> None:
    assert ids() == EVERY


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (["family"], EVERY[:4]),
        (["family/main"], EVERY[:2]),
        (["family/main/full"], EVERY[:1]),
        (["family/main/"], EVERY[:2]),
        ([" family/main/full ", ""], EVERY[:1]),
        (["adhd/main/logical"], ["adhd/main/logical"]),
        (["adhd/main/logical.2"], ["adhd/main/logical.2"]),
        (["adhd", "family/cache"], ["family/cache/rdb", *EVERY[4:]]),
        (["adhd", "adhd/main"], EVERY[4:]),
        ([], EVERY),
        (["", " "], EVERY),
    ],
)
def test_a_selection_takes_ids_and_their_beginnings(select: list[str], expected: list[str]) -> None:
    assert ids(*select) == expected


@pytest.mark.parametrize(
    ("select", "unknown", "guess"),
    [
        (["famly"], ["famly"], "did you mean 'family'?"),
        (["family/main/ful"], ["family/main/ful"], "did you mean 'family/main/full'?"),
        (["family", "fam", "x/y/z"], ["fam", "x/y/z"], "'fam' or 'x/y/z'"),
        (["family/main/full/20261121T020000Z-4f2c91"], ["family/main/full/20261121T020000Z-4f2c91"], "No job"),
        (["fami"], ["fami"], "No job is called 'fami'"),
    ],
)
def test_an_unknown_selection_is_refused_with_what_there_is(select: list[str], unknown: list[str], guess: str) -> None:
    with pytest.raises(JobUnknown) as caught:
        ids(*select)
    assert guess in caught.value.message
    assert caught.value.details == {"unknown": unknown, "jobs": EVERY}
    assert all(job in caught.value.hint for job in EVERY)
    assert caught.value.exit_status == 2


def test_a_job_holds_all_that_running_it_needs() -> None:
    (job,) = load_description(description()).jobs(["adhd/main/weekly-base"])
    expected = {
        "id": "adhd/main/weekly-base",
        "service": "adhd",
        "source": "main",
        "engine": "postgresql",
        "kind": "base",
        "connection": {"host": "/run/postgresql"},
        "options": {},
        "repositories": [
            {
                "name": "local",
                "description": {"type": "file", "path": "/var/backups/lifeboat"},
                "keep": {"within": "2w", "minimum_verified": 2},
            },
            {
                "name": "offsite",
                "description": {"type": "s3", "bucket": "acme-backups", "region": "eu-west-1"},
                "keep": {"within": "8w", "minimum_verified": 2},
            },
        ],
        "compression": {"method": "zstd", "level": 9, "threads": 0},
        "encryption": {"recipients": [RECIPIENT]},
        "schedule": "0 1 * * 0",
        "schedule_in_words": "Sunday at 01:00 (Europe/Berlin)",
        "triggers": [],
        "timezone": "Europe/Berlin",
        "keep": {"within": "8w", "minimum_verified": 2},
        "objectives": {},
        "state_directory": "/var/lib/lifeboat",
        "runnable": True,
        "questions": [],
        "members": [],
        "left_out": [],
    }
    assert job.as_dict() == expected
    assert json.loads(json.dumps(job.as_dict())) == expected


def test_defaults_stand_where_nothing_is_said() -> None:
    minimal = {
        "lifeboat_repositories": {"local": {"type": "file", "path": "/b"}},
        "lifeboat_services": [
            {
                "name": "s",
                "sources": [
                    {
                        "name": "m",
                        "engine": "redis",
                        "connection": {},
                        "backups": [{"kind": "aof", "repositories": ["local"], "keep": {"count": 1}}],
                    }
                ],
            }
        ],
    }
    loaded = load_description(minimal)
    (job,) = loaded.jobs()
    assert (job.timezone, job.state_directory, job.schedule) == ("UTC", "/var/lib/lifeboat", None)
    assert job.compression == {"method": "zstd", "level": 1, "threads": 0}
    assert job.encryption == {}
    assert job.describe_schedule() == "on request"
    assert loaded.settings.scratch_memory_mib == 1024


def test_settings_hold_for_all_jobs_unless_they_say_otherwise() -> None:
    settings = {
        "state_directory": "/s",
        "timezone": "Europe/Berlin",
        "compression": {"level": 5},
        "encryption": {"recipients_file": "/r"},
    }
    data = changed("lifeboat_settings", settings)
    first = data["lifeboat_services"][0]["sources"][0]["backups"][0]
    first.update(encryption={"method": "none"}, compression={"method": "none"}, timezone="UTC")
    full, oplog = load_description(data).jobs(["family/main"])
    assert (full.encryption, full.compression["method"], full.timezone) == ({}, "none", "UTC")
    assert oplog.encryption == {"recipients_file": "/r"}
    assert oplog.compression == {"method": "zstd", "level": 5, "threads": 0}
    assert (oplog.timezone, oplog.state_directory) == ("Europe/Berlin", "/s")


def test_the_note_of_a_repository_is_not_for_storage() -> None:
    data = changed("lifeboat_repositories.local.description", "a disk")
    (job,) = load_description(data).jobs(["family/cache"])
    assert "description" not in job.repositories[0].description


def test_kinds_that_cannot_be_made_yet_are_shown_as_such() -> None:
    runnable = {job.id: job.runnable for job in load_description(description()).jobs()}
    assert [name for name, can in runnable.items() if not can] == ["family/main/oplog"]


def test_objectives_are_inherited_by_databases_and_not_by_files() -> None:
    jobs = {job.id: job.objectives.as_dict() for job in load_description(description()).jobs()}
    assert jobs["family/main/full"] == {"rpo": "1d", "rto": "1h"}
    assert jobs["family/settings/config"] == {}
    (job,) = load_description(changed(f"{REDIS}.objectives", {"rto": "5m"})).jobs(["family/cache"])
    assert job.objectives.as_dict() == {"rpo": "1d", "rto": "5m"}


@pytest.mark.parametrize(
    ("path", "value", "warning"),
    [
        (f"{REDIS}.connection.password", "hunter2", "family/cache: password is given by value"),
        (f"{MONGODB}.connection", {"uri": "mongodb://u:hunter2@h/"}, "family/main: uri has a password in it"),
        (
            "lifeboat_repositories.history.url",
            "https://u:hunter2@h/r.git",
            "repository history: url has a password in it",
        ),
        (
            "lifeboat_services.0.notifications.webhooks",
            {"base_url": "https://h", "token": "hunter2", "endpoints": {"backup_status": "/b"}},
            "family: token is given by value",
        ),
        (f"{REDIS}.objectives", {"rpo": "15m"}, "family/cache: an rpo of 15 minutes can't be met: the most frequent"),
        (f"{MONGODB}.objectives", {"rpo": "14m"}, "(oplog) runs every 15 minutes, up to 15 minutes apart."),
        (f"{MONGODB}.backups.0.objectives", {"rpo": "4h"}, "family/main/full: an rpo of 4 hours can't be met"),
        (
            f"{MONGODB}.objectives",
            {"rpo": "15m", "window": "2d"},
            "family/main/oplog: any moment of the last 2 days is to be recoverable, but it is kept for 1 day at most",
        ),
        (
            f"{REDIS}.backups.0",
            {"kind": "rdb", "repositories": ["local"], "keep": {"count": 7}},
            "family/cache: nothing is scheduled, so an rpo of 1 day can't be met.",
        ),
        (
            f"{REDIS}.backups.0.keep",
            {"within": "12h"},
            "family/cache/rdb: local keeps backups for 12 hours, but they are",
        ),
        (
            f"{REDIS}.verify",
            {"level": 2},
            "family/cache/rdb: verify goes to level 2, and retention counts backups as verified from level 3 on, so",
        ),
    ],
)
def test_what_is_probably_not_meant_is_a_warning_without_any_secret(path: str, value: t.Any, warning: str) -> None:
    warnings = load_description(changed(path, value)).warnings
    assert [text for text in warnings if warning in text], warnings
    assert "hunter2" not in "".join(warnings)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{MONGODB}.objectives", {"rpo": "15m"}),
        (f"{MONGODB}.objectives", {"rpo": "15m", "window": "1d"}),
        (f"{MONGODB}.connection", {"uri": "mongodb://127.0.0.1:27017/?replicaSet=rs0"}),
        (f"{REDIS}.backups.0.triggers", ["continuous"]),
        (f"{REDIS}.backups.0.keep", {"within": "12h", "daily": 3}),
        (f"{REDIS}.connection.password_command", "pass show redis"),
        (f"{REDIS}.verify", {"level": 3}),
        ("lifeboat_repositories.history.url", "ssh://git@h/r.git"),
    ],
)
def test_what_is_well_is_no_warning(path: str, value: t.Any) -> None:
    assert load_description(changed(path, value)).warnings == ()


@pytest.mark.parametrize("keep", [{"within": "7d", "minimum_verified": 0}, {"forever": True}])
def test_who_waits_for_no_proof_may_verify_as_little_as_he_likes(keep: dict[str, t.Any]) -> None:
    data = changed(f"{REDIS}.verify", {"level": 1})
    data["lifeboat_services"][0]["sources"][1]["backups"][0]["keep"] = keep
    assert load_description(data).warnings == ()


def test_a_stream_meets_any_objective() -> None:
    data = changed(f"{REDIS}.objectives", {"rpo": "1s"})
    data["lifeboat_services"][0]["sources"][1]["backups"][0]["triggers"] = ["continuous"]
    loaded = load_description(data)
    assert loaded.warnings == ()
    (job,) = loaded.jobs(["family/cache"])
    assert job.describe_schedule() == "continuously, and daily at 03:00"


def test_the_next_run_is_known() -> None:
    (job,) = load_description(description()).jobs(["family/main/full"])
    assert job.schedule is not None
    moment = datetime.datetime(2026, 11, 21, 9, 0, tzinfo=datetime.timezone.utc)
    assert job.schedule.next_run(moment) == datetime.datetime(2026, 11, 22, 2, 0, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize("suffix", ["json", "yml"])
def test_a_file_says_the_same_as_a_mapping(tmp_path: pathlib.Path, suffix: str) -> None:
    path = tmp_path / f"lifeboat.{suffix}"
    text = json.dumps(description()) if suffix == "json" else yaml.safe_dump(description(), sort_keys=False)
    path.write_text(text, encoding="utf-8")
    assert read_description(str(path)) == load_description(description())


SECRET = "password: hunter2"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.yml", None, "can't be read: No such file or directory"),
        ("folder.yml", "folder", "can't be read: Is a directory"),
        ("latin.yml", b"name: caf\xe9\n", "is not UTF-8 text: byte 9 is wrong"),
        (
            "tabs.yml",
            f"a:\n\tb: 1\n{SECRET}".encode(),
            "is not YAML: found character '\\t' that cannot start any token (line 2",
        ),
        ("star.yml", b"schedule: * * * * *\n", "is not YAML: "),
        ("object.yml", b"a: !!python/object:os.system {}\n", "is not YAML: could not determine a constructor"),
        ("broken.json", b'{"password": "hunter2", }', "is not JSON: "),
        ("deep.json", b"[" * 100_000, "is not JSON: "),
        ("date.yml", b"a: 2026-13-45\n", "is not YAML: "),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(
    tmp_path: pathlib.Path, name: str, content: t.Any, reason: str
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationUnreadable) as caught:
        read_description(str(path))
    assert str(path) in caught.value.message
    assert reason in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint


def test_an_empty_file_is_no_description(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "empty.yml"
    path.touch()
    with pytest.raises(ConfigurationInvalid, match="must be a mapping"):
        read_description(str(path))


def test_a_job_knows_what_is_to_be_noted_when_the_backup_is_made() -> None:
    given = description()
    noted = {"name": "users", "sql": "select 1", "within_percent_of": {"reference": "noted", "percent": 0}}
    counted = {"name": "tasks", "sql": "select 1", "within_count_of": {"reference": "noted", "count": 3}}
    others = [
        {"name": "a", "sql": "select 1", "min": 1},
        {"name": "b", "sql": "select 1", "within_percent_of": {"reference": "previous", "percent": 5}},
    ]
    (service,) = (one for one in given["lifeboat_services"] if one["name"] == "adhd")
    (source,) = (one for one in service["sources"] if one["name"] == "main")
    source["verify"] = {"level": 4, "questions": [noted, *others, counted]}
    (job,) = load_description(given).jobs(["adhd/main/weekly-base"])
    assert job.questions == (noted, counted)
