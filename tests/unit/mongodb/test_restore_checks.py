# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers, names and tools fit a backup: looked at before anything is changed."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import errors
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive import ArchiveCollection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.noted_content import NotedContent
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_checks import (
    require_loadable,
    require_names,
    require_version,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_names import RestoreNames
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_options import (
    restore_options_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_selection import (
    DIRECT,
    STAGED,
    RestoreItem,
    RestoreSelection,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_target import TargetFacts

NAMES = RestoreNames(restore_id="20261121T120000Z-abcdef")
TARGET = TargetFacts(
    host="db1:27017", version="6.0.5", feature_compatibility="6.0", replica_set="rs0", account=None, free_bytes=None
)


def noted(version: str, compatibility: str | None) -> NotedContent:
    return NotedContent(
        tool="native",
        database=None,
        users_and_roles=False,
        mode="snapshot",
        server_version=version,
        feature_compatibility=compatibility,
        collections={},
        oplog=None,
        window=None,
    )


def selection(name: str = "orders", *, kind: str = "collection", has_oplog: bool = False) -> RestoreSelection:
    source = ArchiveCollection(database="shop", name=name, data_name=name, metadata="", type=kind)
    way = DIRECT if kind == "timeseries" else STAGED
    item = RestoreItem(source=source, database="shop", way=way, documents=1, size=1, expires=False)
    return RestoreSelection(items=(item,), people=False, has_oplog=has_oplog)


@pytest.mark.parametrize(
    ("version", "compatibility", "target", "own", "hint"),
    [
        ("7.0.2", "7.0", "6.0.5", "6.0", "a server of MongoDB 7.0"),
        ("7.0.2", None, "6.0.5", "6.0", "a server of MongoDB 7.0"),
        ("6.0.5", "6.0", "6.0.5", "5.0", "setFeatureCompatibilityVersion"),
        ("7.0.2", "6.0", "5.0.9", None, "a server of MongoDB 6.0"),
    ],
)
def test_older_targets_are_refused(
    version: str, compatibility: str | None, target: str, own: str | None, hint: str
) -> None:
    facts = dataclasses.replace(TARGET, version=target, feature_compatibility=own)
    with pytest.raises(errors.RestoreVersionMismatch) as refused:
        require_version(noted(version, compatibility), facts)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("version", "compatibility", "warned"),
    [("6.0.5", "6.0", False), ("7.0.2", "6.0", False), ("5.0.1", "5.0", False), ("4.2.1", "4.2", True)],
)
def test_the_same_and_later_targets_fit(version: str, compatibility: str, warned: bool) -> None:
    assert bool(require_version(noted(version, compatibility), TARGET)) == warned


@pytest.mark.parametrize(
    ("length", "version", "fits"), [(209, "6.0.5", True), (210, "6.0.5", False), (80, "4.2.0", False)]
)
def test_names_leave_room_for_a_prefix(length: int, version: str, fits: bool) -> None:
    facts = dataclasses.replace(TARGET, version=version)
    if fits:
        require_names(selection("x" * length), NAMES, facts)
        return
    with pytest.raises(errors.RestoreTargetInvalid, match="so long"):
        require_names(selection("x" * length), NAMES, facts)


@pytest.mark.parametrize(
    ("tool", "asked", "version", "error"),
    [
        ("native", {}, "6.0.5", None),
        ("native", {"has_oplog": True}, "6.0.5", None),
        ("native", {"kind": "timeseries"}, "6.0.5", None),
        ("native", {"kind": "timeseries"}, "8.3.0", errors.MongoTooNew),
        ("vendor", {"kind": "timeseries"}, "8.3.0", None),
        ("vendor", {"has_oplog": True}, "6.0.5", errors.RestoreTargetInvalid),
    ],
)
def test_what_a_tool_can_load(
    tool: str, asked: dict[str, t.Any], version: str, error: type[errors.LifeboatError] | None
) -> None:
    options = restore_options_from({"tool": tool})
    facts = dataclasses.replace(TARGET, version=version)
    if error is None:
        require_loadable(selection(**asked), facts, options)
        return
    with pytest.raises(error):
        require_loadable(selection(**asked), facts, options)
