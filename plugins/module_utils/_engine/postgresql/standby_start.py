# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a standby and seeing that it receives: by what it says itself, never by time that has passed."""

from __future__ import annotations

import os

from ..core.errors import LifeboatError, PostgresHbaRefused, StandbyNotReached
from ..core.host import Host
from .connection import PostgresConnection
from .lasting_server import LOG, LastingServer
from .names import parse_lsn
from .programs import ServerPrograms
from .server_state import severe_lines
from .standby_state import StandbyState, read_state
from .standby_ways import Upstream

_POLL = 0.2
_PENDING = "SELECT name FROM pg_catalog.pg_settings WHERE pending_restart ORDER BY name"


def bring_up(
    server: LastingServer,
    *,
    connection: PostgresConnection,
    upstream: Upstream,
    folder: str,
    timeout: float,
    host: Host,
) -> tuple[StandbyState, tuple[str, ...]]:
    """Start it where it does not run, and wait until it has what *upstream* had; its state, and warnings.

    Raises StandbyNotReached, PostgresServerDied, ServiceControlFailed, and PostgresHbaRefused at once: roles come with
    the data, and the file does not.
    """
    if not server.is_running:
        server.start()
    deadline = host.clock.monotonic() + timeout
    state: StandbyState | None = None
    problem = ""
    while True:
        try:
            with connection.connect(runner=host.runner) as session:
                state = read_state(session)
                if _has_caught_up(state, upstream):
                    return state, _restart_due(tuple(str(name) for (name,) in session.rows(_PENDING)))
        except PostgresHbaRefused:
            raise
        except LifeboatError as error:
            problem = error.message
        if host.clock.monotonic() >= deadline:
            break
        host.clock.sleep(_POLL)
    said = severe_lines(os.path.join(folder, LOG))
    how = f"it does not answer: {problem}" if state is None else _described(state)
    raise StandbyNotReached(
        f"The standby in {folder} runs, and has not caught up within {timeout:g} seconds: {how}.",
        hint="Look in its log: can it log in at its primary, and does that one or the archive have all WAL? "
        "Where neither has, it is made anew with rejoin: rebuild.",
        details={"state": None if state is None else state.as_dict(), "upstream": upstream.written, "said": said},
    )


def reload_server(folder: str, *, programs: ServerPrograms, host: Host) -> None:
    """Have a running server read its settings again."""
    programs.run("pg_ctl", "reload", "-D", folder, "-s", runner=host.runner, timeout=60)


def _has_caught_up(state: StandbyState, upstream: Upstream) -> bool:
    replayed = parse_lsn(state.replayed) if state.replayed else 0
    return (
        state.in_recovery
        and state.system_identifier == upstream.system_identifier
        and state.receiving
        and state.timeline == upstream.timeline
        and replayed >= parse_lsn(upstream.written)
    )


def _described(state: StandbyState) -> str:
    if not state.in_recovery:
        return f"{state.server} is a primary, on timeline {state.timeline}"
    link = f"receives from {state.sender}" if state.receiving else "is not connected to its primary"
    return f"it {link}, on timeline {state.timeline}, and has replayed up to {state.replayed}"


def _restart_due(names: tuple[str, ...]) -> tuple[str, ...]:
    return (f"Only a restart takes {', '.join(names)}; it is due when it suits you.",) if names else ()
