# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE.md has the exact commands for what is in the archive, and the traps beside them."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_guide import restore_guide


def guide(**changes: object) -> str:
    values: dict[str, object] = {
        "database": None,
        "has_oplog": False,
        "users_and_roles": True,
        "time_series": False,
        "server_version": "6.0.5",
    }
    text: str = restore_guide(**{**values, **changes})
    return text


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("{fetch:")]


@pytest.mark.parametrize("has_oplog", [True, False])
@pytest.mark.parametrize("database", [None, "shop"])
def test_every_command_bypasses_validation_and_hides_the_uri(database: str | None, has_oplog: bool) -> None:
    found = commands(guide(database=database, has_oplog=has_oplog))
    assert len(found) >= 3
    for command in found:
        assert command.startswith("{fetch:dump.archive} | mongorestore --config=target.yaml --archive")
        assert "--bypassDocumentValidation" in command
        assert "://" not in command


def test_the_oplog_is_replayed_with_everything_and_with_nothing_else() -> None:
    found = commands(guide(has_oplog=True))
    assert "--oplogReplay" in found[0]
    assert all("--oplogReplay" not in command for command in found[1:])
    assert "--oplogReplay" not in guide()


def test_one_database() -> None:
    found = commands(guide(database="shop"))
    assert found[1].endswith("--nsInclude='shop.*' --nsFrom='shop.*' --nsTo='shop_recovery.*'")
    assert found[2].endswith("--drop --db=shop --restoreDbUsersAndRoles")
    assert not any("--restoreDbUsersAndRoles" in command for command in commands(guide(database="admin")))


def test_no_users() -> None:
    assert "no users and roles" in guide(users_and_roles=False, database="shop")


def test_a_time_series_in_the_oplog_needs_a_newer_mongorestore() -> None:
    assert "100.20.0 or later" in guide(has_oplog=True, time_series=True)
    assert "100.20.0" not in guide(has_oplog=True)
