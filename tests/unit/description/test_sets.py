# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets in a description: which jobs they consist of, and what can't be meant."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Job,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ConfigurationInvalid

KEEP = {"repositories": ["local"], "keep": {"within": "7d"}}


def backup(kind: str, **more: t.Any) -> dict[str, t.Any]:
    return {"kind": kind, **KEEP, **more}


_DESCRIPTION: dict[str, t.Any] = {
    "lifeboat_repositories": {
        "local": {"type": "file", "path": "/srv/backups"},
        "cloud": {"type": "file", "path": "/srv/cloud"},
        "history": {"type": "git", "url": "git@git.example.org:acme/configuration.git"},
    },
    "lifeboat_services": [
        {
            "name": "shop",
            "sources": [
                {
                    "name": "main",
                    "engine": "postgresql",
                    "connection": {"port": 5432},
                    "backups": [
                        backup("logical"),
                        backup("base"),
                        backup("base", name="other"),
                        backup("incremental"),
                        backup("wal"),
                    ],
                },
                {"name": "cache", "engine": "redis", "connection": {"port": 6379}, "backups": [backup("rdb")]},
                {"name": "documents", "engine": "mongodb", "connection": {}, "backups": [backup("oplog")]},
                {
                    "name": "conf",
                    "engine": "files",
                    "connection": {"paths": ["/etc/nginx"]},
                    "backups": [backup("config")],
                },
                {
                    "name": "system",
                    "engine": "files",
                    "backups": [{"kind": "system", "repositories": ["cloud"], "keep": {"within": "12w"}}],
                },
            ],
        }
    ],
}


def described(**options: t.Any) -> dict[str, t.Any]:
    made = copy.deepcopy(_DESCRIPTION)
    made["lifeboat_services"][0]["sources"][-1]["backups"][0]["options"] = options
    return made


def job_of(mapping: dict[str, t.Any]) -> Job:
    (job,) = load_description(mapping).jobs(["shop/system/system"])
    return job


def members(**options: t.Any) -> list[str]:
    return [member.id for member in job_of(described(**options)).members]


def problem(mapping: dict[str, t.Any]) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_description(mapping)
    return f"{caught.value.message}\n{caught.value.hint}"


def test_a_set_has_the_first_job_of_each_whole_kind_of_each_source_settings_first() -> None:
    job = job_of(described())
    assert job.runnable
    assert [member.id for member in job.members] == [
        "shop/conf/config",
        "shop/main/logical",
        "shop/main/base",
        "shop/cache/rdb",
    ]
    assert job.left_out == (
        "shop/main/other: another job of the kind base comes before it",
        "shop/documents: has no job that makes a whole backup",
    )
    assert job.as_dict()["members"] == [member.id for member in job.members]


def test_a_source_that_can_not_be_in_it_is_a_doubt() -> None:
    warnings = load_description(described()).warnings
    assert (
        "shop/system/system: not a part of the set: shop/documents: has no job that makes a whole backup." in warnings
    )


def test_include_and_exclude_name_sources_and_jobs() -> None:
    assert members(include=["main", "conf/config"]) == ["shop/conf/config", "shop/main/logical", "shop/main/base"]
    assert members(exclude=["main/logical", "cache"]) == ["shop/conf/config", "shop/main/base"]
    assert "service has no job 'main/full'" in problem(described(include=["main/full"]))


def test_data_that_stays_with_wal_g_is_no_part_of_a_set() -> None:
    mapping = described()
    mapping["lifeboat_services"][0]["sources"][0]["backups"][1]["options"] = {"tool": "walg"}
    job = job_of(mapping)
    # The next job of the kind takes its place.
    assert "shop/main/other" in [member.id for member in job.members]
    assert any("WAL-G" in line for line in job.left_out)


def test_a_set_without_members_is_a_doubt() -> None:
    warnings = load_description(described(include=["documents"])).warnings
    assert any("can't be made" in warning for warning in warnings)


def test_a_set_has_no_connection_and_no_neighbours() -> None:
    mapping = described()
    system = mapping["lifeboat_services"][0]["sources"][-1]
    system["connection"] = {"paths": ["/"]}
    assert "nothing to be reached or read here" in problem(mapping)
    system["backups"].append(backup("config"))
    assert "this source has backups of its own" in problem(mapping)
    del system["connection"]
    assert "connection is missing" in problem(mapping)


def test_other_sources_need_a_connection() -> None:
    mapping = described()
    del mapping["lifeboat_services"][0]["sources"][1]["connection"]
    assert "connection is missing" in problem(mapping)


def test_a_set_can_not_go_to_version_control() -> None:
    mapping = described()
    mapping["lifeboat_services"][0]["sources"][-1]["backups"][0]["repositories"] = ["history"]
    assert "can't hold the databases of a set" in problem(mapping)
