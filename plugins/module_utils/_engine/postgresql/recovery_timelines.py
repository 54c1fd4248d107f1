# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of timelines that are taken, though no repository knows them: two histories must never share one.

PostgreSQL gives a new timeline the first number without a history file. A timeline that was begun a moment ago, whose
history still waits in the spool, or whose recovery was rolled back, would get a second meaning so. What this host knows
of such ones is in the cluster that is replaced, and in the notes of earlier restores into its place.
"""

from __future__ import annotations

import os
import typing as t

from ..core.state import StateDirectory
from ..recovery.ledger import all_restores
from .programs import ServerPrograms
from .timeline_history import Ancestor, TimelineHistory, history_from_facts, parse_history
from .wal_names import HISTORY, format_lsn, history_name, parse_wal_name

#: Under this name a step's facts keep the timeline that a start is going to begin.
BEGINS = "begins"


def next_timeline(folder: str, *, after: int) -> int:
    """The number that a promotion of the cluster in *folder* takes when it has followed the timeline *after*."""
    number = after + 1
    while os.path.lexists(os.path.join(folder, "pg_wal", history_name(number))):
        number += 1
    return number


def facts_of_next(folder: str, *, followed: int, replayed: int) -> dict[str, t.Any]:
    """What is noted before a promotion: its timeline and where that begins, in JSON values."""
    known = local_histories(folder).get(followed, b"")
    before = parse_history(known, timeline=followed).ancestors if known else ()
    ancestors = (*(one for one in before if one.switch <= replayed), Ancestor(timeline=followed, switch=replayed))
    number = next_timeline(folder, after=followed)
    return {"timeline": number, "history": TimelineHistory(timeline=number, ancestors=ancestors).as_facts()}


def local_histories(folder: str) -> dict[int, bytes]:
    """The history files in the ``pg_wal`` of a cluster; {} when there is none."""
    wal = os.path.join(folder, "pg_wal")
    found: dict[int, bytes] = {}
    try:
        names = os.listdir(wal)
    except OSError:
        return found
    for name in names:
        parsed = parse_wal_name(name)
        if parsed is not None and parsed.what == HISTORY:
            with open(os.path.join(wal, name), "rb") as file:
                found[parsed.timeline] = file.read()
    return found


def taken_timelines(*, data_directory: str, state: StateDirectory) -> dict[int, bytes]:
    """Histories, by number, of timelines that the cluster in *data_directory* and earlier restores into it began."""
    found: dict[int, bytes] = {}
    for document in all_restores(state):
        if document.get("target") != data_directory:
            continue
        for step in document.get("steps", ()):
            noted = (step.get("facts") or {}).get(BEGINS) if isinstance(step, dict) else None
            if not isinstance(noted, dict):
                continue
            try:
                number = int(noted["timeline"])
                found[number] = _text(history_from_facts(noted["history"], timeline=number))
            except (KeyError, TypeError, ValueError):
                continue  # an earlier version's notes, or somebody else's
    return {**found, **local_histories(data_directory)}


def put_histories(folder: str, histories: t.Mapping[int, bytes], *, programs: ServerPrograms) -> None:
    """Put those that are not there into the ``pg_wal`` of a cluster, so that their numbers are not taken again."""
    for timeline, content in histories.items():
        path = os.path.join(folder, "pg_wal", history_name(timeline))
        if not os.path.lexists(path):
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, 0o600)
            programs.own(path)


def _text(history: TimelineHistory) -> bytes:
    lines = [f"{one.timeline}\t{format_lsn(one.switch)}\tbegun by an earlier recovery\n" for one in history.ancestors]
    return "".join(lines).encode("ascii")
