# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies that a playbook gives to ``s3_retention``: where WAL-G is, and who must meet the objective."""

from __future__ import annotations

import datetime

import pytest

pytest.importorskip("ansible", reason="the oldest Pythons have the engine only, no controller")

from ansible_collections.lifeboat.recovery.plugins.filter.retention_play import retention
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_requests import policy_from


def test_the_playbook_hands_on_what_the_job_says_of_the_place_alone() -> None:
    walg = {"program": "/usr/local/bin/wal-g", "config": "/etc/wal-g/main.json", "max_steps": 3}
    base = {
        "kind": "base",
        "repositories": ["it"],
        "keep": {"within": "30d"},
        "options": {"tool": "walg", "walg": walg},
    }
    source = {
        "name": "main",
        "engine": "postgresql",
        "connection": {"host": "/var/run/postgresql"},
        "backups": [base],
    }
    found = retention([{"name": "shop", "sources": [source]}], {"it": {"type": "file", "path": "/srv/backups"}})
    assert found["policies"][0]["walg"] == {key: walg[key] for key in ("program", "config")}


def test_the_repository_that_keeps_a_stream_longest_must_meet_the_objective() -> None:
    job = {"kind": "oplog", "schedule": "* * * * *", "keep": {"within": "7d"}}
    source = {
        "name": "main",
        "engine": "mongodb",
        "connection": {"uri_file": "/etc/lifeboat/uri"},
        "objectives": {"window": "5d"},
        "backups": [{**job, "repositories": [{"name": "near", "keep": {"within": "1d"}}, "far"]}],
    }
    places = {name: {"type": "file", "path": f"/srv/{name}"} for name in ("near", "far")}
    found = retention([{"name": "family", "sources": [source]}], places)["policies"]
    assert {policy["repository"]: policy.get("window") for policy in found} == {"near": None, "far": "5d"}
    (far,) = [policy_from(policy) for policy in found if policy["repository"] == "far"]
    assert far.objective == datetime.timedelta(days=5)
