# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a server says that it stopped, whether that is the target, and the settings that tell it where to."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import parse_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_log import (
    ended_before_target,
    is_target,
    read_stop,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.recovery_settings import (
    end_target,
    final_settings,
    replay_settings,
    target_settings,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.recovery_target import (
    RecoveryTarget,
    recovery_target_from,
)

NOW = parse_time("2026-11-21T12:00:00Z")
PREFIX = "2026-11-21 12:00:00.123 UTC [4711] LOG:  "
# As PostgreSQL 15 and 18 print them.
AFTER_COMMIT = "recovery stopping after commit of transaction 742, time 2026-11-21 11:03:00.123456+00"
BEFORE_COMMIT = "recovery stopping before commit of transaction 742, time 2026-11-21 11:03:00.123456+00"
BEFORE_ABORT = "recovery stopping before abort of transaction 742, time 2026-11-21 11:03:00.5+00"
AFTER_LSN = 'recovery stopping after WAL location (LSN) "0/3000148"'
BEFORE_LSN = 'recovery stopping before WAL location (LSN) "0/3000148"'
AT_NAME = 'recovery stopping at restore point "before "the" upgrade", time 2026-11-21 11:03:00.123456+00'
CONSISTENT = "recovery stopping after reaching consistency"


def target(**document: t.Any) -> RecoveryTarget:
    return recovery_target_from(document, now=NOW)


@pytest.mark.parametrize(
    ("words", "document"),
    [
        (AFTER_COMMIT, {"xid": 742}),
        (AFTER_COMMIT, {"xid": 742 + 2**32}),
        (BEFORE_COMMIT, {"xid": 742, "exclusive": True}),
        (BEFORE_COMMIT, {"time": "2026-11-21T11:03:00.123455Z"}),
        (BEFORE_COMMIT, {"time": "2026-11-21T11:03:00.123456Z", "exclusive": True}),
        (BEFORE_ABORT, {"time": "2026-11-21T11:03:00.123455Z"}),
        (AFTER_LSN, {"lsn": "0/3000148"}),
        (AFTER_LSN, {"lsn": "0/3000100"}),
        (BEFORE_LSN, {"lsn": "0/3000148", "exclusive": True}),
        (AT_NAME, {"name": 'before "the" upgrade'}),
        (CONSISTENT, {"immediate": True}),
    ],
)
def test_the_target(words: str, document: dict[str, t.Any]) -> None:
    stop = read_stop(["2026 LOG:  database system was shut down", PREFIX + words + "\n", "LOG:  shutting down"])
    assert stop is not None
    assert stop.words == words
    assert is_target(stop, target(**document))


@pytest.mark.parametrize(
    ("words", "document"),
    [
        (AFTER_COMMIT, {"xid": 743}),
        (AFTER_COMMIT, {"xid": 742, "exclusive": True}),
        (BEFORE_COMMIT, {"xid": 742}),
        # It stopped before something that belongs to the target.
        (BEFORE_COMMIT, {"time": "2026-11-21T11:03:00.123456Z"}),
        (BEFORE_COMMIT, {"time": "2026-11-21T11:03:00.123457Z", "exclusive": True}),
        (AFTER_COMMIT, {"time": "2026-11-21T11:03:00.123455Z"}),
        (AFTER_LSN, {"lsn": "0/3000149"}),
        (AFTER_LSN, {"lsn": "0/3000148", "exclusive": True}),
        (AT_NAME, {"name": "another"}),
        (AT_NAME, {"xid": 742}),
        (CONSISTENT, {"lsn": "0/3000148"}),
        (AFTER_COMMIT, {"immediate": True}),
        ("recovery stopping after something new", {"lsn": "0/1"}),
        ("recovery stopping before commit of transaction 742, time yesterday", {"time": "2026-11-21T11:03:00Z"}),
    ],
)
def test_what_is_not_the_target(words: str, document: dict[str, t.Any]) -> None:
    stop = read_stop([PREFIX + words])
    assert stop is not None
    assert not is_target(stop, target(**document))


def test_a_log_without_a_stop() -> None:
    assert read_stop(["LOG:  redo starts at 0/3000028", "FATAL:  recovery stopping before I think"]) is None
    assert ended_before_target(["FATAL:  recovery ended before configured recovery target was reached"])
    assert not ended_before_target(["LOG:  redo done at 0/3000028"])


@pytest.mark.parametrize(
    ("document", "name", "value"),
    [
        ({"time": "2026-11-21T11:03:00.5Z"}, "recovery_target_time", "2026-11-21 11:03:00.500000+00"),
        ({"time": "2026-11-21 12:03 Europe/Berlin"}, "recovery_target_time", "2026-11-21 11:03:00+00"),
        ({"lsn": "0/3000148"}, "recovery_target_lsn", "0/3000148"),
        ({"xid": 742 + 2**32}, "recovery_target_xid", "742"),
        ({"name": "it's"}, "recovery_target_name", "it's"),
        ({"immediate": True}, "recovery_target", "immediate"),
    ],
)
def test_exactly_one_target_is_set(document: dict[str, t.Any], name: str, value: str) -> None:
    names = {"recovery_target", *(f"recovery_target_{one}" for one in ("time", "lsn", "xid", "name"))}
    wanted = target(**document)
    for settings in (
        target_settings(wanted, timeline="3"),
        replay_settings(wanted, timeline="3", restore_command="get %f %p", control={}),
        final_settings(wanted, timeline="3", action="promote", control={}),
    ):
        assert settings[name] == value
        assert len(names & set(settings)) == 1
        assert settings["recovery_target_timeline"] == "3"
        assert settings["recovery_target_inclusive"] == "on"
    assert target_settings(target(lsn="0/1", exclusive=True), timeline="current")["recovery_target_inclusive"] == "off"


def test_the_end_is_a_target_too() -> None:
    with pytest.raises(ValueError, match="latest"):
        target_settings(target(latest=True), timeline="current")
    assert target_settings(end_target(0x3000148), timeline="1")["recovery_target_lsn"] == "0/3000148"


def test_what_the_two_starts_are_told() -> None:
    control = {"max_connections setting": "500", "max_prepared_xacts setting": "7"}
    first = replay_settings(target(xid=742), timeline="1", restore_command="get %f %p", control=control)
    assert (first["recovery_target_action"], first["hot_standby"], first["fsync"]) == ("shutdown", "off", "on")
    assert first["max_prepared_transactions"] == "7"
    promoted = final_settings(target(xid=742), timeline="1", action="promote", control=control)
    assert (promoted["recovery_target_action"], promoted["hot_standby"]) == ("promote", "off")
    assert promoted["restore_command"] == "false"
    assert "max_connections" not in promoted
    # Started again by hand, a cluster that was shut down at its target must open there, and not go down again.
    assert final_settings(target(xid=742), timeline="1", action="shutdown", control={})["recovery_target_action"] == (
        "promote"
    )
    paused = final_settings(target(xid=742), timeline="1", action="pause", control=control)
    assert (paused["recovery_target_action"], paused["hot_standby"]) == ("pause", "on")
    assert (paused["max_connections"], paused["max_prepared_transactions"]) == ("500", "7")
