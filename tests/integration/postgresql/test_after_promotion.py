# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a promotion a full base backup is asked for, and no increment is made on what lies before it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.test_pitr_incremental import require_18
from tests.integration.postgresql.wal_rig import Archive, archiving, own
from tests.support.command_line import CommandLine, describe

pytestmark = pytest.mark.slow


@pytest.fixture
def archive() -> t.Iterator[Archive]:
    settings = {"summarize_wal": "on"}
    server = PostgreSQLServer(password=SECRET, bin_directory=require_18(), settings=settings)
    with server, archiving(server) as made:
        yield made


def commands(archive: Archive) -> CommandLine:
    password = archive.folder / "password"
    password.touch(mode=0o600)
    password.write_text(SECRET + "\n", encoding="utf-8")
    connection = {
        "host": "127.0.0.1",
        "port": archive.server.port,
        "user": "postgres",
        "database": "postgres",
        "password_file": str(password),
        "bin_directory": str(archive.server.bin_directory),
    }
    stored = {"repositories": ["local"], "keep": {"forever": True}}
    stream = {"spool_directory": str(archive.spool_folder), "pg_wal_free_percent": 0}
    (archive.folder / "repository").mkdir()
    source = {
        "name": "main",
        "engine": "postgresql",
        "connection": connection,
        "backups": [
            {"kind": "base", "schedule": "0 2 * * 0", **stored},
            {"kind": "incremental", "schedule": "0 2 * * 1-6", **stored},
            {"kind": "wal", "triggers": ["continuous"], "options": stream, **stored},
        ],
    }
    return describe(
        archive.folder / "config.json",
        {
            "lifeboat_settings": {"state_directory": str(archive.folder / "state")},
            "lifeboat_repositories": {"local": {"type": "file", "path": str(archive.folder / "repository")}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
        },
    )


def promote(server: PostgreSQLServer) -> None:
    """Let it come up as a standby would, and promote it: what it writes from now on is a timeline of its own."""
    server.stop()
    signal = Path(server.data_directory) / "standby.signal"
    signal.touch()
    own(signal)
    server.start()
    assert server.query("SELECT pg_is_in_recovery()") == [(True,)]
    server.query("SELECT pg_promote(true, 60)")


def base_job(lifeboat: CommandLine) -> dict[str, t.Any]:
    (found,) = [one for one in lifeboat("status --json").document["jobs"] if one["job"] == "shop/main/base"]
    return t.cast("dict[str, t.Any]", found)


def stored(lifeboat: CommandLine) -> list[dict[str, t.Any]]:
    """The backups, oldest first."""
    backups = lifeboat("list --json").succeeded().document["backups"]
    return sorted(backups, key=lambda one: str(one["started"]))


def test_no_increment_hangs_on_the_timeline_before(archive: Archive) -> None:
    lifeboat = commands(archive)
    archive.segments(1)
    lifeboat("ship --quiet").succeeded()
    lifeboat("backup shop/main/base --quiet").succeeded()
    archive.segments(1)
    lifeboat("backup shop/main/incremental --quiet").succeeded()
    before = stored(lifeboat)
    assert [one["kind"] for one in before] == ["base", "incremental"]
    promote(archive.server)
    (name,) = archive.segments(1)
    archive.server.query("CHECKPOINT")
    archive.wait_for(name)
    lifeboat("ship --quiet").succeeded()
    # Asked for ...
    wanted = base_job(lifeboat)
    assert wanted["state"] == "wanted"
    assert "Timeline 2 began" in wanted["wanted"]
    # ... and what would hang on the timeline that was left is not made, and names the command that ends this.
    for command in ("backup shop/main/incremental --quiet --dry-run", "backup shop/main/incremental --quiet"):
        said = lifeboat(command)
        assert said.status != 0
        assert "[postgresql.parent_unusable]" in said.err
        assert "ends on timeline 1, the server is on 2: it was promoted or recovered since" in said.err
        assert "lifeboat backup shop/main/base" in said.err
    assert stored(lifeboat) == before
    lifeboat("backup shop/main/base --quiet").succeeded()
    assert base_job(lifeboat)["wanted"] is None
    archive.segments(1)
    lifeboat("backup shop/main/incremental --quiet").succeeded()
    base, increment = stored(lifeboat)[2:]
    assert (base["kind"], increment["kind"], increment["parent"]) == ("base", "incremental", base["id"])
