# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/runbooks/restore-redis.md``, walked through with a real server."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from tests.integration.redis.daemons import Daemon
from tests.integration.redis.servers import digest, fill
from tests.integration.runbooks.walk import PAGES, Walk, backup
from tests.support.pages import read_page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = "restore-redis.md"


@pytest.fixture
def server(walk: Walk) -> t.Iterator[Daemon]:
    """A server that has a verified backup, and something later than that."""
    daemon = Daemon(folder=walk.folder / "server", append_only=True)
    try:
        daemon.start()
        fill(daemon, keys=40)
        lifeboat = walk.describe(
            {
                "name": "sessions",
                "engine": "redis",
                "connection": {"port": daemon.port},
                "service_control": daemon.control,
                "backups": [backup("rdb")],
            }
        )
        lifeboat("backup --quiet").succeeded()
        lifeboat("verify --quiet").succeeded()
        walk.variables["TARGET"] = f"redis at 127.0.0.1:{daemon.port}"
        walk.variables["PORT"] = str(daemon.port)
        walk.variables["COPY"] = str(walk.folder / "copy")
        yield daemon
    finally:
        daemon.kill()


def test_every_section(walk: Walk, server: Daemon) -> None:
    wanted = digest(server)
    with server.client() as client:
        client.delete("text:1")
        client.set("later", 1)
    walk.through(PAGE, 1, 2, 3)
    with server.client() as client:
        assert client.exists("text:1", "later") == 2, "the key is back, and nothing else was touched"
    assert not (walk.folder / "copy").exists()
    held = digest(server)
    walk.through(PAGE, 1, 2, 4)
    assert digest(server) == wanted
    walk.through(PAGE, 1, 5)
    assert digest(server) == held
    walk.through(PAGE, 1, 4, 6)
    assert digest(server) == wanted
    assert not [name for name in server.names() if "before" in name]


def test_a_restore_that_died(walk: Walk, server: Daemon) -> None:
    wanted = digest(server)
    with server.client() as client:
        client.flushall()
    start = server.folder / "start"
    good = start.read_text(encoding="utf-8")
    start.write_text("kill -9 $PPID\n", encoding="utf-8")  # the fault
    with pytest.raises(AssertionError, match="a command failed"):
        walk.through(PAGE, 1, 4)
    start.write_text(good, encoding="utf-8")
    assert not server.answers()
    walk.through(PAGE, 1, 7)
    assert digest(server) == wanted


def test_the_index(walk: Walk, server: Daemon) -> None:
    assert server.answers()
    page = read_page(PAGES / "restore.md")
    page.run(page.sections, environment=walk.environment())


def test_every_page_is_in_the_index_and_every_one_is_walked_through() -> None:
    index = (PAGES / "restore.md").read_text(encoding="utf-8")
    names = sorted(path.name for path in PAGES.glob("restore-*.md"))
    assert names
    tests = "".join(path.read_text(encoding="utf-8") for path in pathlib.Path(__file__).parent.glob("test_*.py"))
    for name in names:
        assert f"({name})" in index
        assert f'"{name}"' in tests
