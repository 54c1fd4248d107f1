# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of an objective that is met, missed, not known, or that nobody set."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.objectives import all_met, met


@pytest.mark.parametrize(
    ("seconds", "objective", "found"),
    [(60, "1m", True), (60.5, "1m", False), (None, "1m", None), (60, None, None)],
)
def test_one(seconds: float | None, objective: str | None, found: bool | None) -> None:
    assert met(seconds, objective) is found


@pytest.mark.parametrize(
    ("each", "found"),
    [([True, True], True), ([True, None], None), ([True, None, False], False), ([], None)],
)
def test_all_of_them(each: t.Sequence[bool | None], found: bool | None) -> None:
    assert all_met(iter(each)) is found
