# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_basebackup tells on standard error while it works (``--verbose``): positions, timeline, damaged pages."""

from __future__ import annotations

import re
import typing as t

from .child import Said

_START = re.compile(r"write-ahead log start point: (?P<lsn>[0-9A-F]+/[0-9A-F]+) on timeline (?P<timeline>\d+)")
_END = re.compile(r"write-ahead log end point: (?P<lsn>[0-9A-F]+/[0-9A-F]+)")
_DAMAGED = re.compile(r'checksum verification failed in file "(?P<path>[^"]*)", block (?P<block>\d+)')
_WARNING = re.compile(r"(?:WARNING:\s+|pg_basebackup: warning: )(?P<text>.*)")
_KEPT = 100


class BackupNotes(Said):
    """Takes the lines one by one.

    *start_lsn*, *timeline* and *end_lsn* are None until they were told. *damaged_pages* and *warnings* keep the first
    hundred; *finished* is set by the last line of a good backup. *on_start* is called when the checkpoint is over and
    the data begins to come.
    """

    def __init__(self, *, on_start: t.Callable[[], None] | None = None) -> None:
        super().__init__()
        self._on_start = on_start
        self.start_lsn: str | None = None
        self.timeline: int | None = None
        self.end_lsn: str | None = None
        self.finished = False
        self.damaged_pages: list[str] = []
        self.warnings: list[str] = []

    def __call__(self, line: str) -> None:
        super().__call__(line)
        start, end, damaged, warning = (pattern.search(line) for pattern in (_START, _END, _DAMAGED, _WARNING))
        if start:
            self.start_lsn, self.timeline = start["lsn"], int(start["timeline"])
            if self._on_start is not None:
                self._on_start()
        elif end:
            self.end_lsn = end["lsn"]
        elif damaged:
            if len(self.damaged_pages) < _KEPT:
                self.damaged_pages.append(f"{damaged['path']} block {damaged['block']}")
        elif warning:
            if len(self.warnings) < _KEPT:
                self.warnings.append(warning["text"])
        elif line.endswith("base backup completed"):
            self.finished = True
