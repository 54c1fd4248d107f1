# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What WAL-G 3.0.9 says before it deletes, as it said it, and what is made of it."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import WalgAnswerUnreadable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.walg_deletes import (
    count_objects,
    foreign_objects,
    is_denied,
    needed_log,
    parse_folders,
    parse_marked,
    parse_names,
)

FULL = "base_000000010000000000000002"
DELTA = "base_000000010000000000000005_D_000000010000000000000002"
TIME = "INFO: 2026/11/22 03:20:41.125"
TARGET = f"""{TIME} Backup to delete will be searched in storages: [default]
{TIME} retrieving permanent objects
{TIME} Selecting the backup with name {FULL}...
{TIME} Evaluating objects for deletion...
{TIME} Object marked for deletion: {FULL}_backup_stop_sentinel.json storage=default
{TIME} Object marked for deletion: {DELTA}_backup_stop_sentinel.json storage=default
{TIME} Object marked for deletion: {FULL}/tar_partitions/part_001.tar.lz4 storage=default
{TIME} Dry run: objects would be deleted count=3, Run with --confirm to execute
"""
NOTHING = f"{TIME} Evaluating objects for deletion...\n{TIME} No objects matched the deletion criteria.\n"


def wal(*names: str) -> tuple[str, ...]:
    return tuple(f"wal_005/{name}.lz4" for name in names)


def test_a_delta_is_seen_that_would_be_taken_along() -> None:
    marked = parse_marked(TARGET)
    assert len(marked) == 3
    assert foreign_objects(marked, names=frozenset({FULL})) == (f"{DELTA}_backup_stop_sentinel.json",)
    assert foreign_objects(marked, names=frozenset({FULL, DELTA})) == ()
    # The name of a full one is the beginning of no other's.
    assert foreign_objects((f"{FULL}_backup_stop_sentinel.json.old", "strange"), names=frozenset({FULL})) != ()


def test_what_it_would_take_is_known_wholly_or_not_at_all() -> None:
    assert parse_marked(NOTHING) == ()
    for said in ("", TARGET.replace("count=3", "count=4"), TARGET.partition(f"{TIME} Dry run")[0]):
        with pytest.raises(WalgAnswerUnreadable, match="can't be told"):
            parse_marked(said)


@pytest.mark.parametrize(
    ("marked", "is_needed"),
    [
        (wal("000000020000000000000010"), False),
        (wal("000000020000000000000011"), True),
        (wal("000000020000000000000012.partial"), True),
        (wal("000000020000000000000010.00000028.backup"), False),
        # Of a timeline that the backup's does not lead to any more.
        (wal("0000000100000000000000FF"), False),
        (wal("000000030000000000000012"), True),
        (wal("000000030000000000000010"), False),
        (wal("00000003.history"), True),
        (wal("00000002.history"), True),
        (("wal_005/000000020000000000000011",), True),
        (("wal_005/something",), True),
        (("basebackups_005/base_000000010000000000000002/metadata.json",), True),
    ],
)
def test_which_wal_a_recovery_reads(marked: tuple[str, ...], *, is_needed: bool) -> None:
    begins = frozenset({"000000020000000000000011"})
    assert bool(needed_log(marked, log_begins=begins)) is is_needed
    assert needed_log(marked, log_begins=frozenset({"", "000000020000000000000011"})) == marked


def test_no_backup_that_stays_reads_nothing() -> None:
    assert needed_log(wal("000000010000000000000001"), log_begins=frozenset()) == ()


def test_names_and_folders_and_what_is_left_in_one() -> None:
    assert parse_names(f'[{{"backup_name": "{FULL}"}}]') == {FULL}
    with pytest.raises(WalgAnswerUnreadable):
        parse_names("no list")
    listing = f"""type size last modified                           name
dir  0    0001-01-01 00:00:00 +0000 UTC           /{FULL}/
obj  457  2026-11-22 03:20:29.106942416 +0000 UTC {FULL}_backup_stop_sentinel.json
"""
    assert parse_folders(listing) == {FULL}
    assert count_objects(listing) == 1


def test_a_denial_is_told_from_other_trouble() -> None:
    assert is_denied("unlinkat /srv/walg/x: permission denied")
    assert is_denied("api error AccessDenied: object is WORM protected and cannot be overwritten")
    assert not is_denied("dial tcp 10.0.0.1:443: connect: connection refused")
