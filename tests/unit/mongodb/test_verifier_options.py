# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verification of a dump may be told, and the command line of its server."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid, ToolTooOld
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.scratch_server import (
    mongod_argv,
    require_mongod,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.verifier_options import (
    verifier_options,
)

GIB = 1024**3


def test_the_program_is_named_by_the_option_then_by_the_environment_then_found() -> None:
    named = {"LIFEBOAT_MONGOD": "/opt/six/mongod"}
    assert verifier_options({"mongod": "/opt/seven/mongod"}, environment=named).mongod == "/opt/seven/mongod"
    assert verifier_options({}, environment=named).mongod == "/opt/six/mongod"
    assert verifier_options({}, environment={}).mongod == "mongod"


@pytest.mark.parametrize(("limit", "cache"), [(GIB, 341), (100, 256), (30 * GIB, 10240)])
def test_the_cache_is_a_third_of_the_memory(limit: int, cache: int) -> None:
    assert verifier_options({}, environment={}).cache(memory_limit=limit) == cache
    assert verifier_options({"cache_megabytes": 300}, environment={}).cache(memory_limit=limit) == 300


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mongo": "x"}, "has no option mongo"),
        ({"mongod": "bin/mongod"}, "must be a whole path or a name on PATH"),
        ({"mongod": 5}, "must be a text"),
        ({"cache_megabytes": 100}, "must be at least 256"),
        ({"cache_megabytes": "much"}, "must be a number"),
        ({"parallel": 0}, "must be a number above 0"),
        ({"parallel": 1.5}, "must be a whole number"),
    ],
)
def test_what_can_not_be_is_refused(options: dict[str, t.Any], message: str) -> None:
    with pytest.raises(RequestInvalid, match=message):
        verifier_options(options, environment={})


def argv(version: tuple[int, ...]) -> tuple[str, ...]:
    return mongod_argv(
        program="/usr/bin/mongod", version=version, data="/s/data", socket="/s/mongod.sock", cache_megabytes=512
    )


def test_the_server_listens_on_its_socket_alone() -> None:
    command = argv((6, 0, 5))
    assert command[command.index("--bind_ip") + 1] == "/s/mongod.sock"
    assert "--port" not in command
    assert "--nounixsocket" in command
    assert command[command.index("--wiredTigerCacheSizeGB") + 1] == "0.5"
    assert "ttlMonitorEnabled=false" in command


@pytest.mark.parametrize(
    ("version", "there"), [((4, 4, 29), True), ((6, 0, 5), True), ((7, 0, 0), False), ((8,), False)]
)
def test_free_monitoring_is_switched_off_where_there_is_one(version: tuple[int, ...], there: bool) -> None:
    assert ("--enableFreeMonitoring" in argv(version)) is there


@pytest.mark.parametrize(
    ("printed", "compatibility", "server", "good"),
    [
        ("db version v6.0.5", "6.0", "6.0.5", True),
        ("db version v6.0.5", "6.0", "7.0.1", True),  # not raised yet after an upgrade
        ("db version v7.0.2", "6.0", "6.0.5", True),
        ("db version v6.0.5", "6.1", "6.1.0", False),
        ("db version v6.0.5", "7.0", "7.0.1", False),
        ("db version v6.0.5", None, "7.0.1", False),
        ("db version v4.0.9", "4.0", "4.0.9", False),  # older than what the loader supports
        ("nothing to speak of", "6.0", "6.0.5", False),
    ],
)
def test_the_server_must_know_the_data(
    tmp_path: t.Any, printed: str, compatibility: str | None, server: str, good: bool
) -> None:
    program = tmp_path / "mongod"
    program.write_text(f"#!/bin/sh\necho '{printed}'\n", encoding="ascii")
    program.chmod(0o755)
    arguments: dict[str, t.Any] = {
        "runner": SubprocessRunner(),
        "compatibility": compatibility,
        "server_version": server,
    }
    if good:
        assert require_mongod(str(program), **arguments) == printed.rsplit("v", maxsplit=1)[-1]
        return
    with pytest.raises(ToolTooOld, match="an older server does not know all of it"):
        require_mongod(str(program), **arguments)
