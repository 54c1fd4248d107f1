# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/runbooks/pitr-redis.md``, walked through with a real server."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import typing as t

import pytest

from tests.integration.redis.aof_log_rig import TIMED, next_second
from tests.integration.redis.daemons import Daemon
from tests.integration.redis.servers import digest, fill
from tests.integration.runbooks.walk import Walk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = "pitr-redis.md"


def text(second: int) -> str:
    return datetime.datetime.fromtimestamp(second, tz=datetime.UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def server(walk: Walk) -> t.Iterator[Daemon]:
    """A server whose files are archived, and that was emptied by mistake one second after TIME."""
    daemon = Daemon(folder=walk.folder / "server", append_only=True, settings=TIMED)
    try:
        daemon.start()
        lifeboat = walk.describe(
            {
                "name": "sessions",
                "engine": "redis",
                "connection": {"port": daemon.port},
                "service_control": daemon.control,
                "backups": [
                    {"kind": "aof-log", "schedule": "* * * * *", "repositories": ["local"], "keep": {"within": "7d"}}
                ],
            }
        )
        lifeboat("ship --quiet").succeeded()
        good = next_second()
        fill(daemon, keys=40)
        walk.variables.update(
            TARGET=f"redis at 127.0.0.1:{daemon.port}",
            PORT=str(daemon.port),
            COPY=str(walk.folder / "copy"),
            SOURCE="shop/sessions",
            TIME=text(good),
            good=digest(daemon),
        )
        next_second()
        with daemon.client() as client:
            client.flushall()
            client.set("later", 1)
        for _turn in range(2):  # the second time nothing was written, and so it is known to be complete
            lifeboat("ship --quiet").succeeded()
            next_second()
        lifeboat("ship --quiet").succeeded()
        yield daemon
    finally:
        daemon.kill()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # when the page was not walked to its end
            os.kill(int((walk.folder / "copy" / "redis.pid").read_text()), signal.SIGKILL)


def test_every_section(walk: Walk, server: Daemon) -> None:
    wanted = walk.variables.pop("good")
    walk.through(PAGE, 1, 2, 3, 4)
    with server.client() as client:
        assert client.exists("text:1", "later") == 2, "the key is back, and nothing else was touched"
    assert not (walk.folder / "copy").exists()
    held = digest(server)
    walk.through(PAGE, 1, 2, 5)
    assert digest(server) == wanted
    walk.through("restore-redis.md", 1, 5)
    assert digest(server) == held
