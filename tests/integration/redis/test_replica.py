# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a replica is behind: real servers, of which one is frozen or loses the other, told by the command."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import typing as t

from tests.integration.redis.conftest import Starter
from tests.integration.redis.servers import admin
from tests.support.command_line import CommandLine, describe
from tests.support.waiting import wait_for


def test_a_replica_tells_its_lag_and_silence_is_told_too(start: Starter, tmp_path: pathlib.Path) -> None:
    primary, replica = start(), start()
    with admin(replica) as client:
        client.replicaof("127.0.0.1", str(primary.port))
    backups = [{"kind": "rdb", "repositories": ["local"], "keep": {"count": 7}}]
    source = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": primary.port},
        "standbys": [{"name": "second", "connection": {"port": replica.port}, "max_lag": "5s"}],
        "backups": backups,
    }
    lifeboat = describe(
        tmp_path / "config.yml",
        {
            "lifeboat_settings": {"state_directory": str(tmp_path / "state")},
            "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path / "store"), "create": True}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        },
    )
    (tmp_path / "store").mkdir()
    wait_for(lambda: told(lifeboat).get("lag_bytes") == 0, what="the replica has everything")
    assert told(lifeboat) == {
        "lag_known": 1,
        "follows": 1,
        "lag_seconds": 0,
        "lag_bytes": 0,
        "lag_objective_seconds": 5,
    }
    process = process_of(replica)
    os.kill(process, signal.SIGSTOP)
    try:
        said = lifeboat("metrics").succeeded()
        assert figures(said.out) == {"lag_known": 0, "lag_objective_seconds": 5}
        assert "shop/cache/second: how far it is behind is not known" in said.err
    finally:
        os.kill(process, signal.SIGCONT)
    with admin(replica) as client:
        client.replicaof("NO", "ONE")
    assert told(lifeboat) == {"lag_known": 0, "follows": 0, "lag_objective_seconds": 5}


def told(lifeboat: CommandLine) -> dict[str, float]:
    return figures(lifeboat("metrics").succeeded().out)


def figures(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"(?m)^lifeboat_replica_(\w+)\{.*\} (\S+)$", text)}


def process_of(server: t.Any) -> int:
    with admin(server) as client:
        return int(client.info("server")["process_id"])
