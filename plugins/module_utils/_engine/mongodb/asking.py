# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the source itself, as they will be asked of its restored copy."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.runner import Runner
from ..recovery.questions import Answer, Question
from .connection import MongoConnection
from .questions import answer

_NOT_OF_USERS = frozenset(("admin", "config", "local"))


@contextlib.contextmanager
def asking(connection: t.Mapping[str, t.Any], runner: Runner) -> t.Iterator[t.Callable[[Question], Answer]]:
    """Ask the server of *connection*; a question without a database means the only one of users.

    Raises what connecting raises.
    """
    client = MongoConnection.from_description(connection).open(runner=runner)

    def ask(question: Question) -> Answer:
        database = None
        if not question.database:
            names = [name for name in client.list_database_names() if name not in _NOT_OF_USERS]
            database = names[0] if len(names) == 1 else None
        return answer(question, client=client, database=database)

    with client:
        yield ask
