# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a filter calls unseen was never seen; of the rest it finds nearly all."""

from __future__ import annotations

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.name_filter import NameFilter

SEEN, OTHERS = [f"a/{number}" for number in range(20_000)], [f"b/{number}" for number in range(20_000)]


def test_nothing_that_was_seen_is_called_unseen() -> None:
    names = NameFilter(salt="2026-11-21")
    assert names.unseen(SEEN) == SEEN
    names.add(SEEN)
    assert names.unseen(SEEN) == []


def test_what_was_not_seen_is_called_so_in_order() -> None:
    names = NameFilter(salt="2026-11-21")
    names.add(SEEN)
    assert names.unseen([*OTHERS[:3], *SEEN[:3], *OTHERS[3:5]]) == OTHERS[:5]
    assert len(names.unseen(OTHERS)) >= len(OTHERS) - 1


def test_the_answers_are_the_same_for_the_same_salt_and_others_for_another() -> None:
    """Small bit fields show it: with so many names, many are called seen that are not."""
    answers = []
    for salt in ("today", "today", "tomorrow"):
        names = NameFilter(salt=salt, bits=12)
        names.add(SEEN[:1500])
        answers.append(names.unseen(OTHERS[:1000]))
    assert answers[0] == answers[1] != answers[2]
    assert 0 < len(answers[0]) < 1000
