# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup ids sort by time, and only real ones pass for one."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ids import (
    backup_id_time,
    is_backup_id,
    is_name,
    new_backup_id,
)
from tests.support.clocks import START


def test_an_id_is_the_start_time_in_utc_and_random_bits() -> None:
    there = START.astimezone(datetime.timezone(datetime.timedelta(hours=9)))
    backup_id = new_backup_id(now=there)
    assert backup_id.startswith("20261121T020000Z-")
    assert is_backup_id(backup_id)
    assert backup_id_time(backup_id) == START


def test_ids_of_one_second_differ() -> None:
    assert len({new_backup_id(now=START) for _turn in range(50)}) > 45


def test_ids_sort_by_time() -> None:
    moments = [START + datetime.timedelta(hours=hours) for hours in (0, 1, 30, 24 * 40, 24 * 400)]
    ids = [new_backup_id(now=moment) for moment in moments]
    assert sorted(ids) == ids


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20261121T020000Z",
        "20261121T020000Z-4F2C91",
        "20261121T020000Z-4f2c9",
        "20261121T020000Z-4f2c91\n",
        "20261121T020000Z-4f2c91/..",
        "20261341T020000Z-4f2c91",
        "20261121T256161Z-4f2c91",
        "٢٠٢٦1121T020000Z-4f2c91",
    ],
)
def test_what_is_no_backup_id_is_told_apart(text: str) -> None:
    assert not is_backup_id(text)
    with pytest.raises(ValueError, match="is not a backup id such as"):
        backup_id_time(text)


@pytest.mark.parametrize("text", ["family", "a", "0", "main-2", "acme.shop_eu", "x" * 63])
def test_names_for_folders_locks_and_labels_pass(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["", ".", "..", "-a", "_a", "Family", "a/b", "a b", "é", "a\n", "x" * 64, "a\0"])
def test_names_that_could_not_be_folders_everywhere_do_not_pass(text: str) -> None:
    assert not is_name(text)
