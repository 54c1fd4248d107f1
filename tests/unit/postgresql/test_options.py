# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options are checked before anything is touched."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.options import (
    BaseBackupOptions,
    IncrementalParent,
    LogicalOptions,
    base_backup_options_from_description,
    logical_options_from_description,
)


def test_nothing_given_means_the_whole_cluster_streamed_and_counted() -> None:
    options = logical_options_from_description({})
    assert options == LogicalOptions()
    assert options.every_database
    assert (options.format, options.row_counts, options.globals) == ("custom", "exact", True)


def test_null_means_the_default() -> None:
    assert logical_options_from_description({"jobs": None, "databases": None}) == LogicalOptions()
    assert base_backup_options_from_description({"max_rate": None, "keep_manifest": None}) == BaseBackupOptions()


@pytest.mark.parametrize(("given", "expected"), [("adhd", ("adhd",)), (["a", "b"], ("a", "b")), ("all", ("all",))])
def test_databases_are_one_several_or_all(given: t.Any, expected: tuple[str, ...]) -> None:
    assert logical_options_from_description({"databases": given}).databases == expected


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"database": "adhd"}, "no option database"),
        ({"databases": []}, "no database"),
        ({"databases": ["all", "adhd"]}, "all and others"),
        ({"databases": {"a": 1}}, "databases is"),
        ({"format": "plain"}, "format is 'plain'"),
        ({"row_counts": True}, "row_counts is True"),
        ({"jobs": 0}, "jobs is 0"),
        ({"jobs": True}, "jobs is True"),
        ({"jobs": 4}, "written by one process"),
        ({"format": "directory", "jobs": 4}, "scratch_directory is not given"),
        ({"lock_wait_timeout": 0}, "lock_wait_timeout is 0"),
        ({"globals": "yes"}, "globals is 'yes'"),
        ({"include_tables": "a", "include_schemas": "b"}, "ignores the schemas"),
    ],
)
def test_logical_options_that_can_not_be_are_refused(description: dict[str, t.Any], words: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        logical_options_from_description(description)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("rate", ["32", "32k", "50M", "1024M"])
def test_a_rate_of_pg_basebackup_is_taken(rate: str) -> None:
    assert base_backup_options_from_description({"max_rate": rate}).max_rate == rate


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"max_rate": "31k"}, "max_rate '31k'"),
        ({"max_rate": "1025M"}, "max_rate '1025M'"),
        ({"max_rate": "fast"}, "max_rate 'fast'"),
        ({"checkpoint": "now"}, "checkpoint is 'now'"),
        ({"tool": "pgbackrest"}, "tool is 'pgbackrest'"),
        ({"hold_wal": True}, "hold_wal is True"),
        ({"require_archiving": "yes"}, "require_archiving is 'yes'"),
        ({"keep_manifest": 1}, "keep_manifest is 1"),
        ({"manifest_history": 0}, "manifest_history is 0"),
        ({"label": "x"}, "no option label"),
    ],
)
def test_base_options_that_can_not_be_are_refused(description: dict[str, t.Any], words: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        base_backup_options_from_description(description)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_parent_without_a_chain_is_a_full_backup() -> None:
    assert IncrementalParent(backup_id="a", manifest_path="/m").chain == ("a",)
