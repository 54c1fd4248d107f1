# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/label.yml``: one label of databases on several hosts, stored by credentials that may only write."""

from __future__ import annotations

import json
import sys
import typing as t

import pytest
import yaml

from sandbox.ports import free_port
from tests.integration.ansible.plays import PASSWORD, WRITER, Json, Lab, Played, run_playbook

_USE = {"repositories": ["local", "offsite"], "keep": {"within": "7d"}}


def source(lab: Lab, name: str, engine: str, kind: str) -> Json:
    return {"name": name, "engine": engine, "connection": lab.connection(engine), "backups": [{"kind": kind, **_USE}]}


def play(lab: Lab, name: str, described: t.Mapping[str, t.Sequence[Json]], *arguments: str) -> Played:
    repositories = {}
    for repository in lab.repositories_of(WRITER):
        repositories[repository.pop("name")] = repository
    document = {
        "all": {
            "hosts": {
                host: {"lifeboat_services": [{"name": "shop", "sources": list(sources)}]} if sources else {}
                for host, sources in described.items()
            },
            "vars": {
                "lifeboat_repositories": repositories,
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
            },
        }
    }
    inventory = lab.directory / "inventory.yml"
    inventory.write_text(yaml.safe_dump(document))
    named = json.dumps({"lifeboat_label_service": "shop", "lifeboat_label": name})
    return run_playbook(lab, "--inventory", str(inventory), "-e", named, *arguments, playbook="playbooks/label.yml")


def labels(lab: Lab) -> dict[str, Json]:
    """Those in the folder and in the bucket, by the repository and the name of the object."""
    found: dict[str, Json] = {}
    for path in sorted(lab.local.rglob("*.json")):
        found[f"local/{path.stem}"] = json.loads(path.read_text())
    client = lab.s3.client()
    for entry in client.list_objects_v2(Bucket="backups", Prefix=f"{lab.prefix}/").get("Contents", ()):
        body = client.get_object(Bucket="backups", Key=entry["Key"])["Body"].read()
        found[f"offsite/{entry['Key'].rpartition('/')[2].removesuffix('.json')}"] = json.loads(body)
    return found


@pytest.mark.newest
def test_databases_on_two_hosts_get_one_label(lab: Lab) -> None:
    described = {
        "one": [source(lab, "main", "postgresql", "base"), source(lab, "documents", "mongodb", "full")],
        "two": [source(lab, "cache", "redis", "rdb")],
        "application": [],
    }
    checked = play(lab, "before-upgrade", described, "--check")
    assert checked.status == 0, checked.output
    assert labels(lab) == {}

    played = play(lab, "before-upgrade", described)
    assert played.status == 0, played.output
    found = labels(lab)
    assert set(found) == {"local/before-upgrade", "offsite/before-upgrade"}
    assert found["local/before-upgrade"] == found["offsite/before-upgrade"]
    label = found["local/before-upgrade"]
    assert [(one["source"], one["kind"]) for one in label["points"]] == [
        ("cache", "time"),
        ("documents", "optime"),
        ("main", "lsn"),
    ]
    assert 0 < label["skew_seconds"] < 60
    assert PASSWORD not in played.output

    # A name means one instant, also for a source that was not in it.
    again = play(lab, "before-upgrade", {"one": [], "two": described["two"]})
    assert again.status != 0
    assert "There is a label before-upgrade already, in local" in " ".join(again.output.split())
    assert labels(lab) == found


def test_a_source_that_two_hosts_describe_is_refused_before_anything_is_marked(lab: Lab) -> None:
    cache = source(lab, "cache", "redis", "rdb")
    played = play(lab, "twice", {"one": [cache], "two": [cache]})
    assert played.status != 0
    assert "shop/cache is described for one and two" in " ".join(played.output.split())
    limited = play(lab, "once", {"one": [cache], "two": [cache]}, "--limit", "two")
    assert limited.status == 0, limited.output
    assert set(labels(lab)) == {"local/once", "offsite/once"}


def test_a_host_that_can_not_mark_means_that_there_is_no_label(lab: Lab) -> None:
    gone = {**source(lab, "main", "postgresql", "base"), "connection": {"host": "127.0.0.1", "port": free_port()}}
    played = play(lab, "half", {"one": [source(lab, "cache", "redis", "rdb")], "two": [gone]})
    assert played.status != 0
    assert labels(lab) == {}


def test_a_service_that_nobody_has_is_told(lab: Lab) -> None:
    played = play(lab, "nothing", {"one": []})
    assert played.status != 0
    assert "No host has databases of shop in its description." in " ".join(played.output.split())
