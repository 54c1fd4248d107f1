# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat failover lease`` as the service of a host runs it, beside a real server."""

from __future__ import annotations

import contextlib
import pathlib
import shlex
import subprocess
import sys
import typing as t

from sandbox.postgresql import PostgreSQLServer, as_user, operating_system_user
from tests.support.children import ENGINE, environment

#: The shortest that may be described.
LEASE = "10s"


def control_of(server: PostgreSQLServer) -> dict[str, str]:
    """The commands of an operator."""
    user, program = as_user(operating_system_user()), str(server.program("pg_ctl"))
    data = str(server.data_directory)
    words = [*user, program, "-D", data, "-w", "-s"]
    log = str(server.data_directory / "started.log")
    return {
        "stop_command": shlex.join([*words, "-m", "fast", "stop"]),
        "start_command": shlex.join([*words, "-l", log, "start"]),
    }


def standby_by(server: PostgreSQLServer) -> list[str]:
    """The words by which it is seen whether a server of PostgreSQL is a standby."""
    return ["--data-directory", str(server.data_directory)]


@contextlib.contextmanager
def lease_holder(
    configuration: pathlib.Path, *, host: str, by: t.Sequence[str], gate: pathlib.Path, of: str = "adhd/main"
) -> t.Iterator[subprocess.Popen[str]]:
    """Whoever holds the lease of a source; it is dead when the block ends. *by* says where a standby is known by."""
    words = ["failover", "lease", of, "--host", host, "--gate", str(gate), *by]
    with subprocess.Popen(
        [sys.executable, "-m", ENGINE, "--config", str(configuration), *words],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
