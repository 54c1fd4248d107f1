# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without archived append-only files the backups are a ladder of points: the plan says so, and how far off it is."""

from __future__ import annotations

import datetime
import pathlib
import re
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import format_time
from tests.integration.redis.aof_log_rig import next_second
from tests.integration.redis.conftest import Starter
from tests.integration.redis.servers import Served
from tests.support.command_line import CommandLine, describe

pytestmark = pytest.mark.slow


def text(second: int) -> str:
    return format_time(datetime.datetime.fromtimestamp(second, tz=datetime.UTC))


def described(folder: pathlib.Path, of: Served) -> CommandLine:
    stored = {"schedule": "0 2 * * *", "repositories": ["local"], "keep": {"within": "7d"}}
    source = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": of.port},
        "backups": [{"kind": "rdb", **stored}],
    }
    return describe(
        folder / "config.yml",
        {
            "lifeboat_settings": {"state_directory": str(folder / "state")},
            "lifeboat_repositories": {"local": {"type": "file", "path": str(folder / "repository"), "create": True}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        },
    )


def members(folder: pathlib.Path) -> set[str]:
    import redis

    with redis.Redis(unix_socket_path=str(folder / "redis.sock"), decode_responses=True) as client:
        return set(t.cast("set[str]", client.smembers("ledger")))


def test_a_time_is_the_snapshot_before_it_and_the_plan_says_how_far_off(start: Starter, tmp_path: pathlib.Path) -> None:
    of = start()
    lifeboat = described(tmp_path, of)
    moments = []
    for word in ("first", "second", "third"):
        with of.client() as client:
            client.sadd("ledger", word)
        if word != "third":
            lifeboat("backup --quiet").succeeded()
        next_second()
        moments.append(next_second())
    said = lifeboat("windows").succeeded().out
    assert len(re.findall(r"^  the moment \S+Z ", said, re.MULTILINE)) == 2, said
    assert "any moment" not in said
    assert "nothing in between" in said
    folder = tmp_path / "copy"
    words = f"recover shop/cache --to-time {text(moments[1])} -o data_directory={folder}"
    plan = lifeboat(f"{words} --dry-run").succeeded().out
    assert re.search(r"why: .*\d+ seconds", plan), plan
    assert not folder.exists()
    done = lifeboat(f"{words} --quiet --json").succeeded().document["restore"]
    try:
        assert members(folder) == {"first", "second"}
    finally:
        lifeboat(f"restore --quiet --roll-back {done['id']} --confirm {folder}").succeeded()
    early = f"recover shop/cache --to-time 2001-01-01T00:00:00Z --dry-run -o data_directory={folder}"
    refused = lifeboat(early).refused("recovery.target_unreachable")
    assert "the nearest" in refused.err.lower()
