# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may change a server: by default its superuser, let in by the socket of the very server that the jobs come to."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.acting import acting_as
from ..core.host import Host
from .connection import PostgresConnection
from .prepare_rules import is_on_this_host
from .session import Session

SUPERUSER = "postgres"


@contextlib.contextmanager
def administrator_session(
    administrator: t.Mapping[str, t.Any], *, jobs: PostgresConnection, account: str, host: Host, database: str = ""
) -> t.Iterator[Session]:
    """The administrator's session. What *administrator* leaves out is the server of *jobs*, and the superuser.

    *account* (of this host) is acted as where the way is a socket and no password is given. *database* is another than
    the administrator's own.
    """
    given = dict(administrator)
    if "host" not in given and "service" not in given and jobs.host:
        # The loopback is this host, and so is its socket, which needs no password.
        is_remote = not is_on_this_host(jobs.host)
        given.update({"host": jobs.host} if is_remote or jobs.host.startswith("/") else {})
    if "port" not in given and jobs.port is not None:
        given["port"] = jobs.port
    connection = PostgresConnection.from_description({"user": SUPERUSER, "database": SUPERUSER, **given})
    by_socket = not connection.host or connection.host.startswith("/")
    with acting_as(account if by_socket and not connection.password.is_given else ""):
        session = connection.connect(runner=host.runner, database=database)
    with session:
        yield session
