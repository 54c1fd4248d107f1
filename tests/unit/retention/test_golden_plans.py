# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thirty policies over three years keep what they kept when somebody looked last."""

from __future__ import annotations

import pytest

from tests.unit.retention.golden_plans import CASES, FOLDER, path_of, text_of


@pytest.mark.parametrize("name", CASES)
def test_what_each_policy_keeps_is_what_was_reviewed(name: str) -> None:
    assert text_of(CASES[name]) == path_of(name).read_text(encoding="utf-8"), (
        "when this is meant, write it anew and read the difference: "
        "PYTHONPATH=.collections python -m tests.unit.retention.golden_plans"
    )


def test_there_are_thirty_and_no_file_is_left_over() -> None:
    assert len(CASES) == 30
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(CASES)
