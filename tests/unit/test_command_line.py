# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``lifeboat verify`` and ``restore`` make of their arguments, before they ask any repository or server."""

from __future__ import annotations

import pathlib

import pytest

from tests.support.command_line import CommandLine, describe

JOB = "shop/cache/rdb"
RESTORE = "20260101T000000Z-abcdef"


@pytest.fixture
def lifeboat(tmp_path: pathlib.Path) -> CommandLine:
    """A description with one source and an empty repository."""
    (tmp_path / "repository").mkdir()
    source = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": 1},
        "backups": [{"kind": "rdb", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"count": 7}}],
    }
    return describe(
        tmp_path / "config.yml",
        {
            "lifeboat_settings": {"state_directory": str(tmp_path / "state")},
            "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path / "repository")}},
            "lifeboat_services": [{"name": "shop", "objectives": {"rpo": "1d", "rto": "2h"}, "sources": [source]}],
        },
    )


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        ("verify nope", "request.invalid", "shop/cache"),
        (f"verify {JOB}/deeper", "request.invalid", "shop/cache"),
        ("verify --newest 0", "request.invalid", "--newest 1"),
        ("verify --sample -3", "request.invalid", "--sample 1"),
        ("verify --repository nope", "request.invalid", "Repositories: local"),
        ("verify", "catalog.backup_not_found", "lifeboat list"),
        (f"verify {JOB}", "catalog.backup_not_found", "lifeboat list"),
        ("restore", "request.invalid", "SERVICE/SOURCE/KIND --dry-run"),
        ("restore nope", "request.invalid", f"Jobs: {JOB}"),
        ("restore shop/nope/rdb", "request.invalid", "shop/cache"),
        (f"restore {JOB}", "catalog.backup_not_found", "lifeboat list"),
        (f"restore {RESTORE}", "catalog.backup_not_found", "lifeboat list"),
        (f"restore {JOB} --before soon", "request.invalid", "2026-11-21T02:00:00Z"),
        (f"restore {JOB} -o port", "request.invalid", "-o data_directory=/srv/copy"),
        (f"restore {JOB} -o =5", "request.invalid", "-o data_directory=/srv/copy"),
        (f"restore {JOB} -o port=5 -o port=6", "request.invalid", "once"),
        (f"restore {JOB} -o port=5 -o port.deeper=6", "request.invalid", "once"),
        (f"restore {JOB} -o connection.port=5 -o connection=6", "request.invalid", "once"),
        (f"restore {JOB} -o connection=6", "request.invalid", "-o connection.port=5433"),
        (f"restore {JOB} -o modules=[", "request.invalid", "quotes"),
        (f"restore --resume {RESTORE}", "restore.ledger_invalid", "--list"),
        ("restore --discard ../../etc/passwd", "restore.ledger_invalid", "--list"),
        (f"restore --discard {RESTORE} --dry-run", "request.invalid", "--list"),
        (f"restore --roll-back {RESTORE} --in-place", "request.invalid", "--list"),
        (f"restore --resume {RESTORE} --point newest", "request.invalid", "--list"),
        (f"restore {JOB} --unfinished", "request.invalid", "--list"),
        ("restore --list --repository local", "request.invalid", "--list"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_next_command(
    lifeboat: CommandLine, command: str, code: str, hint: str
) -> None:
    said = lifeboat(command).refused(code, hint=hint)
    assert said.out == ""
    document = lifeboat(f"{command} --json").ended(2).document
    assert document["error"]["code"] == code
    assert document["error"]["hint"]


@pytest.mark.parametrize(
    "command",
    ["verify --level 5", "verify --newest 1 --due", "verify --newest x", f"restore --resume {RESTORE} --list"],
)
def test_what_is_no_command_line_shows_how_one_is_written(lifeboat: CommandLine, command: str) -> None:
    assert "usage: lifeboat" in lifeboat(command).ended(2).err


def test_nothing_to_do_is_no_error_where_it_is_what_cron_wants(lifeboat: CommandLine) -> None:
    assert lifeboat("verify --due").succeeded().out == "Nothing is due.\n"
    assert lifeboat("verify --unverified").succeeded().out == "No backup is unverified.\n"
    assert lifeboat("restore --unfinished").succeeded().out == "No restore is unfinished.\n"
    assert lifeboat("restore --list").succeeded().out == "This host has restored nothing yet.\n"
    assert lifeboat("restore --list --json").succeeded().document == {"restores": []}
    assert lifeboat("restore --unfinished --json").succeeded().document == {"unfinished": []}


def test_a_repository_that_is_gone_is_not_an_empty_one(lifeboat: CommandLine, tmp_path: pathlib.Path) -> None:
    (tmp_path / "repository").rmdir()
    for command in ("verify", f"restore {JOB}", f"restore {RESTORE}", f"verify {RESTORE}", "verify --due"):
        lifeboat(command).refused("storage.all_failed", status=1, hint="mount")
