# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way to one moment is taken, and that each refusal says what else there is."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    LifeboatError,
    MongoConsistencyUnavailable,
    MongoSnapshotWindowTooShort,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.consistency import (
    Choice,
    choose,
    history_needed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.facts import ServerFacts
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.namespaces import Scope

WHOLE = Scope()
ONE = Scope(database="shop")


def facts(*, version: str = "6.0.5", replica_set: str | None = "rs0", window: int | None = 300) -> ServerFacts:
    return ServerFacts(
        host="db1:27017",
        is_primary=True,
        version=version,
        feature_compatibility="6.0",
        replica_set=replica_set,
        replica_set_id=None,
        members=(),
        oplog_first=(1, 1),
        oplog_last=(3601, 1),
        history_window=window,
        databases=(),
    )


def choice(wanted: str, scope: Scope, server: ServerFacts, **changes: t.Any) -> Choice:
    values: dict[str, t.Any] = {
        "wanted": wanted,
        "tool_has_snapshots": True,
        "facts": server,
        "scope": scope,
        "expected_bytes": 1_000_000,
        "bytes_per_second": 50_000_000.0,
        "may_raise_window": False,
        "unsnapshotable": [],
    }
    return choose(**{**values, **changes})


@pytest.mark.parametrize("scope", [WHOLE, ONE, Scope(include=("shop.*",))])
def test_auto_takes_the_snapshot_where_it_can(scope: Scope) -> None:
    assert choice("auto", scope, facts()).mode == "snapshot"


def test_auto_takes_the_oplog_for_a_whole_instance_that_a_snapshot_does_not_cover() -> None:
    assert choice("auto", WHOLE, facts(version="4.4.9")).mode == "oplog"
    assert choice("auto", WHOLE, facts(window=30)).mode == "oplog"
    assert choice("auto", WHOLE, facts(), unsnapshotable=["shop.capped"]).mode == "oplog"
    assert "shop.capped" in choice("auto", WHOLE, facts(), unsnapshotable=["shop.capped"]).reason
    assert choice("auto", WHOLE, facts(), tool_has_snapshots=False).mode == "oplog"


def test_auto_leaves_capped_collections_of_one_database_outside() -> None:
    assert choice("auto", ONE, facts(), unsnapshotable=["shop.capped"]).mode == "snapshot"


def test_the_window_is_raised_only_when_it_may_and_must() -> None:
    assert choice("auto", ONE, facts(window=30), may_raise_window=True).raise_window
    assert choice("auto", WHOLE, facts(window=30), may_raise_window=True).mode == "snapshot"
    assert not choice("auto", ONE, facts(window=300), may_raise_window=True).raise_window


@pytest.mark.parametrize(
    ("asked", "changes", "error", "says"),
    [
        (("auto", WHOLE, facts(replica_set=None)), {}, MongoConsistencyUnavailable, "consistency: none"),
        (("snapshot", ONE, facts(replica_set=None)), {}, MongoConsistencyUnavailable, "rs.initiate"),
        (("auto", ONE, facts(version="4.4.9")), {}, MongoConsistencyUnavailable, "consistency: oplog"),
        (("snapshot", WHOLE, facts(version="4.4.9")), {}, MongoConsistencyUnavailable, "consistency: oplog"),
        (("oplog", ONE, facts()), {}, MongoConsistencyUnavailable, "consistency: snapshot"),
        (("oplog", Scope(exclude=("a.b",)), facts(version="4.4.9")), {}, MongoConsistencyUnavailable, "none"),
        (("auto", ONE, facts(window=30)), {}, MongoSnapshotWindowTooShort, "minSnapshotHistoryWindowInSeconds: 60"),
        (("snapshot", WHOLE, facts(window=30)), {}, MongoSnapshotWindowTooShort, "consistency: oplog"),
        (("auto", ONE, facts()), {"tool_has_snapshots": False}, MongoConsistencyUnavailable, "tool: native"),
    ],
)
def test_refusals_say_what_else_there_is(
    asked: tuple[str, Scope, ServerFacts], changes: dict[str, t.Any], error: type[LifeboatError], says: str
) -> None:
    with pytest.raises(error) as raised:
        choice(*asked, **changes)
    assert says in raised.value.hint


def test_none_is_always_open() -> None:
    assert choice("none", ONE, facts(replica_set=None)).mode == "none"


def test_the_history_needed_has_a_margin() -> None:
    assert history_needed(expected_bytes=5_000_000_000, bytes_per_second=50_000_000) == 60 + 200
