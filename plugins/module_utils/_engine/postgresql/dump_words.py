# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_restore and psql say while they load, without the statements and rows that they quote.

A statement may hold a password (CREATE USER MAPPING, CREATE SUBSCRIPTION), DETAIL and CONTEXT hold rows; so only the
lines with the errors themselves are kept.
"""

from __future__ import annotations

import re
import typing as t

from ..core.errors import LifeboatError, PostgresConnectionLost, PostgresLoadFailed, RestoreNoSpace

_ERROR = re.compile(
    r"^(?:pg_restore|psql)(?:\S*)?: (?:error|fatal): (?P<what>.*)|^(?:psql:\S+ )?(?P<said>(?:ERROR|FATAL|PANIC):.*)"
)
_ENTRY = re.compile(r"^pg_restore: from TOC entry \d+; \d+ \d+ (?P<entry>.*)")
_LOST = ("server closed the connection", "terminating connection", "connection to server was lost", "SSL SYSCALL error")
_SHOWN = 5
_KEPT = 200
#: pg_restore 17 and later sets this for itself, and servers before 17 don't know it; nothing is lost by that.
ALWAYS_TOLERABLE = ('unrecognized configuration parameter "transaction_timeout"',)


class LoadWords:
    """Takes the lines of standard error one by one. *errors* holds the first 200 errors, each with its object."""

    def __init__(self, *, tolerate: t.Sequence[str] = ()) -> None:
        self._tolerate = (*ALWAYS_TOLERABLE, *tolerate)
        self._entry = ""
        self.errors: list[str] = []
        self.tolerated: list[str] = []

    def __call__(self, line: str) -> None:
        entry, error = _ENTRY.match(line), _ERROR.match(line)
        if entry:
            self._entry = entry["entry"]
        elif error:
            what = str(error["what"] or error["said"])
            place = self.tolerated if any(text in what for text in self._tolerate) else self.errors
            if len(place) < _KEPT:
                place.append(f"{what} ({self._entry})" if self._entry else what)
            self._entry = ""

    def failure(self, *, database: str, program: str = "pg_restore") -> LifeboatError:
        """The error to raise when the program failed for the first of *errors*."""
        said = "; ".join(self.errors[:_SHOWN]) or f"{program} ended without saying why"
        details = {"database": database, "errors": list(self.errors)}
        if "No space left on device" in said:
            return RestoreNoSpace(
                f"The disk of the server is full: {said}",
                hint="Free space there, or restore elsewhere.",
                details=details,
            )
        if any(text in said for text in _LOST):
            return PostgresConnectionLost(
                f"The server ended the connection while the database {database} was loaded: {said}",
                hint="Look in the server's log for the reason, then start the restore again.",
                details=details,
            )
        return PostgresLoadFailed(
            f"The dump could not be loaded into {database}: {said}",
            hint="Mend the reason at the target and start again; an error that does no harm can be named in tolerate.",
            details=details,
        )
