# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/label.yml`` decides before anything is marked."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit.description.samples import description

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.recovery.plugins.filter.label_play import label_shares, labelled

Json = dict[str, t.Any]

FOLDER: Json = {"name": "local", "type": "file", "path": "/var/backups/lifeboat"}
BUCKET: Json = {"name": "offsite", "type": "s3", "bucket": "backups", "prefix": "prod"}


def labelling(source: str, *repositories: Json) -> Json:
    return {"sources": [{"name": source}], "repositories": list(repositories)}


def test_databases_and_files_of_the_service_and_where_its_backups_are() -> None:
    data = description()
    found = labelled(data["lifeboat_services"], data["lifeboat_repositories"], data.get("lifeboat_settings"), "family")
    assert [(one["name"], one["engine"]) for one in found["sources"]] == [
        ("main", "mongodb"),
        ("cache", "redis"),
        ("settings", "files"),
    ]
    assert {one["name"] for one in found["repositories"]} == {"local", "offsite"}


def test_a_service_of_another_host_has_nothing_to_be_labelled() -> None:
    data = description()
    found = labelled(data["lifeboat_services"], data["lifeboat_repositories"], None, "unknown")
    assert found == {"sources": [], "repositories": []}


def test_each_host_stores_into_its_own_folder_and_one_into_the_bucket() -> None:
    # Another name and other keys are no other bucket.
    same = {**BUCKET, "name": "elsewhere", "credentials": {"file": "/etc/s3.env"}}
    shares = label_shares({"one": labelling("main", FOLDER, BUCKET), "two": labelling("cache", FOLDER, same)}, "adhd")
    assert shares == {"one": [FOLDER, BUCKET], "two": [FOLDER]}


def test_another_place_in_the_bucket_is_another_repository() -> None:
    other = {**BUCKET, "prefix": "second"}
    shares = label_shares({"one": labelling("main", BUCKET), "two": labelling("cache", other)}, "adhd")
    assert shares == {"one": [BUCKET], "two": [other]}


def test_a_host_without_databases_stores_nothing() -> None:
    idle = {"sources": [], "repositories": [FOLDER]}
    assert label_shares({"one": labelling("main", BUCKET), "two": idle}, "adhd") == {"one": [BUCKET]}


def test_a_source_that_two_hosts_describe_is_refused_by_name() -> None:
    found = {"one": labelling("main", FOLDER), "two": labelling("cache", FOLDER), "three": labelling("main", FOLDER)}
    with pytest.raises(AnsibleFilterError, match=r"adhd/main is described for one and three.* --limit"):
        label_shares(found, "adhd")
