# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a server in recovery whether it has paused: by whoever is let in, on its own socket."""

from __future__ import annotations

import dataclasses

from ..core.errors import (
    LibraryMissing,
    PostgresAuthenticationFailed,
    PostgresError,
    PostgresHbaRefused,
    SecretUnavailable,
)
from ..core.runner import Runner
from .connection import PostgresConnection
from .programs import ServerPrograms
from .server_state import read_pid_file

_STATEMENT = (
    "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN 'promoted' WHEN {} THEN 'paused' ELSE 'replaying' END"
)
_SINCE_14 = _STATEMENT.format("pg_catalog.pg_get_wal_replay_pause_state() = 'paused'")
_BEFORE_14 = _STATEMENT.format("pg_catalog.pg_is_wal_replay_paused()")
# What psql says when the server answers, and does not let in whoever asks.
_KEPT_OUT = ("authentication failed", "no password supplied", "pg_hba.conf", "does not exist", "is not permitted")


class PauseQuestion:
    """Whether the server on *data_directory* has paused. *was_kept_out* is set when nobody could ask it, *was_promoted*
    when it says that it has opened for writing: so it does when it has nobody to pause for yet.

    First the server's own account is tried, which ``pg_hba.conf`` lets in nearly everywhere, then *connection*.
    """

    def __init__(
        self, *, data_directory: str, programs: ServerPrograms, connection: PostgresConnection | None, runner: Runner
    ) -> None:
        self._folder = data_directory
        self._programs = programs
        self._connection = connection
        self._runner = runner
        self._statement = _SINCE_14 if programs.major >= 14 else _BEFORE_14
        self.was_kept_out = False
        self.was_promoted = False

    def ask(self) -> bool:
        """True when it has paused; also when it was promoted or answers nobody, as then waiting tells no more."""
        lines = read_pid_file(self._folder)
        if len(lines) < 5 or not lines[4].strip():
            return False
        port, socket = lines[3].strip(), lines[4].strip()
        done = self._programs.run(
            "psql",
            *("-XAtq", "--no-password", "-h", socket, "-p", port, "-U", "postgres", "-d", "postgres"),
            *("-c", self._statement),
            runner=self._runner,
            timeout=60,
            check=False,
        )
        if done.status == 0:
            return self._take(done.text.strip())
        said = done.error.decode("utf-8", "replace")
        if not any(words in said for words in _KEPT_OUT):
            return False  # it is on its way down, or not yet up: its state tells
        answer = self._ask_as_described(socket, port)
        self.was_kept_out = answer is None
        return answer is None or self._take(answer)

    def _take(self, answer: str) -> bool:
        self.was_promoted = answer == "promoted"
        return answer in ("paused", "promoted")

    def _ask_as_described(self, socket: str, port: str) -> str | None:
        """None when the connection of the options is not let in either."""
        if self._connection is None or not self._connection.user:
            return None
        here = dataclasses.replace(self._connection, host=socket, port=int(port), service="", sslmode="")
        try:
            with here.connect(runner=self._runner, database=here.database or "postgres") as session:
                return str(session.value(self._statement))
        except (PostgresAuthenticationFailed, PostgresHbaRefused, SecretUnavailable, LibraryMissing):
            return None
        except PostgresError:
            return ""
