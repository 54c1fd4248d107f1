# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stopped primary has on its disk that a standby may lack: its commits from a position on, by pg_waldump."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from ..core.errors import CommandTimedOut
from ..core.runner import Runner
from .names import parse_lsn
from .programs import ServerPrograms
from .wal_names import format_lsn, segment_at

_COMMIT = re.compile(
    r"len \(rec/tot\):\s*\d+/\s*(?P<total>\d+),.* lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),.* desc: COMMIT\w* "
    r"(?:\d+: )?(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+)"
)
_KEPT = 1000
_LIMIT = 200_000
#: A record may have come in part: reading begins so many bytes earlier, and what had come whole is left out again.
_BEFORE = 64 * 1024
_PAGE, _PAGE_HEADER = 8192, 24
# The end of what is there is an invalid record, or a segment that is not there: the status says nothing.
_NOTHING = "could not find a valid record"


@dataclass(frozen=True)
class CommitsAhead:
    """Commits behind *received*, as far as the disk has them. *ends* are the positions behind each, the newest 1000.

    *first* and *last* are their times in UTC, as PostgreSQL writes them.
    """

    received: str
    count: int
    ends: tuple[str, ...]
    first: str | None
    last: str | None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "received": self.received,
            "count": self.count,
            "ends": list(self.ends),
            "first": self.first,
            "last": self.last,
        }


def commits_ahead(
    folder: str, *, received: str, timeline: int, segment_size: int, programs: ServerPrograms, runner: Runner
) -> CommitsAhead | None:
    """The commits of *timeline* behind *received*; None when the disk's WAL can't be read from there."""
    path, position = os.path.join(folder, "pg_wal"), parse_lsn(received)

    def is_there(at: int) -> bool:
        name = segment_at(at, timeline=timeline, segment_size=segment_size)
        return os.path.exists(os.path.join(path, name))

    # The end of a segment may be empty, where the server went on to the next one.
    starts = (max(0, position - _BEFORE), position - position % segment_size, position)
    for start in filter(is_there, dict.fromkeys(starts)):
        argv = ("--path", path, "--timeline", str(timeline), "--start", format_lsn(start))
        try:
            done = programs.run(
                "pg_waldump", *argv, "--rmgr", "Transaction", "--limit", str(_LIMIT),
                runner=runner, timeout=300, environment={"TZ": "UTC"}, check=False,
            )  # fmt: skip
        except CommandTimedOut:
            return None
        if _NOTHING not in done.error.decode("utf-8", "replace"):
            return _counted(done.text, received=received)
    if position and position % segment_size == 0 and is_there(position - 1):
        return _counted("", received=received)  # the next segment was not begun
    return None  # recycled


def _counted(text: str, *, received: str) -> CommitsAhead:
    """Of the lines of pg_waldump those that are commits and end behind *received*."""
    position = parse_lsn(received)
    found: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = _COMMIT.search(line)
        if match is None:
            continue
        begin, total = parse_lsn(match["lsn"]), int(match["total"])
        end = begin + total + _PAGE_HEADER * ((begin % _PAGE + total) // _PAGE)
        if end > position:
            found.append((end, f"{match['time']} UTC"))
    return CommitsAhead(
        received=received,
        count=len(found),
        ends=tuple(format_lsn(end) for end, _time in found[-_KEPT:]),
        first=found[0][1] if found else None,
        last=found[-1][1] if found else None,
    )
