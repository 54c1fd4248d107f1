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
from .wal_names import format_lsn

_COMMIT = re.compile(
    r"len \(rec/tot\):\s*\d+/\s*(?P<total>\d+),.* lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),.* desc: COMMIT\w* "
    r"(?:\d+: )?(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+)"
)
_KEPT = 1000
_LIMIT = 200_000
#: A record may have come in part: reading begins so many bytes earlier, and what had come whole is left out again.
_BEFORE = 64 * 1024
_PAGE, _PAGE_HEADER = 8192, 24
# With checksums of the WAL's records, the end of what is there is an invalid record: the status says nothing.
_NOTHING = re.compile(r"could not find a valid record|could not find file|could not open file")


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
    folder: str, *, received: str, timeline: int, programs: ServerPrograms, runner: Runner
) -> CommitsAhead | None:
    """The commits of *timeline* behind *received*; None when the disk's WAL can't be read from there."""
    position = parse_lsn(received)
    start = format_lsn(max(position - _BEFORE, position - position % (1024 * 1024)))
    argv = ("--path", os.path.join(folder, "pg_wal"), "--timeline", str(timeline), "--start", start)
    try:
        done = programs.run(
            "pg_waldump", *argv, "--rmgr", "Transaction", "--limit", str(_LIMIT),
            runner=runner, timeout=300, environment={"TZ": "UTC"}, check=False,
        )  # fmt: skip
    except CommandTimedOut:
        return None
    said = done.error.decode("utf-8", "replace")
    if not done.output and _NOTHING.search(said):
        return None
    return _counted(done.text, received=received)


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
