# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a source, while it is backed up, what its restored copy will be asked: the answers that are *noted*.

The source goes on working, so each question is asked before and after; the copy's answer belongs between the two. What
can't be asked is a warning: the backup matters more.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..core.errors import LifeboatError
from ..core.journal import Journal
from ..core.runner import Runner
from ..recovery.questions import Answer, Question

Ask = t.Callable[[Question], Answer]
#: How a source of an engine is asked, given its connection.
Asking = t.Callable[[t.Mapping[str, t.Any], Runner], contextlib.AbstractContextManager[Ask]]


def ask_source(
    questions: t.Sequence[Question],
    *,
    asking: Asking | None,
    connection: t.Mapping[str, t.Any],
    runner: Runner,
    journal: Journal,
) -> dict[str, Answer]:
    """The answers of the source by the questions' names; without those that it did not give."""
    answers: dict[str, Answer] = {}
    if not questions or asking is None:
        return answers
    try:
        with asking(connection, runner) as ask:
            for question in questions:
                try:
                    answers[question.name] = ask(question)
                except LifeboatError as error:
                    journal.warning(f"{error.message} No verification of this backup can compare with it.")
    except LifeboatError as error:
        journal.warning(f"The source can't be asked what verifications compare with: {error.message}")
    return answers


def noted(before: t.Mapping[str, Answer], after: t.Mapping[str, Answer]) -> dict[str, t.Any]:
    """For the manifest's content: ``answers`` by name, each ``[before, after]``; nothing where nothing was asked."""
    answers = {name: [answer, after[name]] for name, answer in before.items() if name in after}
    return {"answers": answers} if answers else {}
