# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of WAL-G's archive, one at a time."""

from __future__ import annotations

import threading
import typing as t

from ..core.clock import Clock
from .wal_names import is_segment_name

if t.TYPE_CHECKING:
    from .walg_program import WalgProgram


@t.final
class WalgFiles:
    """Fetches files of one archive, whose segments have *segment_size* bytes. Safe to use from several threads.

    *open_program* is called once, when the program is first needed.
    """

    def __init__(self, *, open_program: t.Callable[[], WalgProgram], segment_size: int, clock: Clock) -> None:
        self._open = open_program
        self._segment_size = segment_size
        self._clock = clock
        self._lock = threading.Lock()
        self._program: WalgProgram | None = None

    @property
    def program(self) -> WalgProgram:
        """The program. Raises what opening it raises."""
        with self._lock:
            if self._program is None:
                self._program = self._open()
            return self._program

    def fetch(self, name: str, path: str) -> None:
        """To *path*, whole, a segment of its whole size, or not at all; raises what WalgProgram.fetch_wal raises."""
        size = self._segment_size if is_segment_name(name) else None
        self.program.fetch_wal(name, path, segment_size=size, clock=self._clock)
