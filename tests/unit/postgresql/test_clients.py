# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The right client program is found, and a wrong one is refused with the package's name.

The programs here only print a version: they stand for installations that this machine does not have.
"""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ToolMissing, ToolTooOld
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.clients import (
    ClientProgram,
    find_client,
)


def install(directory: pathlib.Path, version: str) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "pg_dump"
    program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def find(debian: pathlib.Path, *, major: int, bin_directory: str = "") -> ClientProgram:
    return find_client(
        "pg_dump",
        server_major=major,
        runner=SubprocessRunner(),
        bin_directory=bin_directory,
        debian=str(debian),
    )


@pytest.fixture
def debian(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "debian"


def test_the_servers_own_version_comes_first(debian: pathlib.Path, tmp_path: pathlib.Path) -> None:
    expected = install(debian / "15" / "bin", "15.18 (Debian 15.18-0+deb12u1)")
    install(debian / "17" / "bin", "17.2")
    install(tmp_path / "path", "17.2")
    found = find(debian, major=15)
    assert (found.path, found.version, found.dotted) == (expected, (15, 18), "15.18")


def test_path_comes_next_then_newer_versions(debian: pathlib.Path, tmp_path: pathlib.Path) -> None:
    install(debian / "16" / "bin", "16.9")
    newer = install(debian / "17" / "bin", "17.2")
    on_path = install(tmp_path / "path", "15.1")
    assert find(debian, major=15).path == on_path
    # The one on PATH is too old for this server, so it is passed over.
    assert find(debian, major=17).path == newer


def test_bin_directory_is_meant_as_it_is_said(debian: pathlib.Path, tmp_path: pathlib.Path) -> None:
    install(debian / "17" / "bin", "17.2")
    old = install(tmp_path / "mine", "14.1")
    with pytest.raises(ToolTooOld) as caught:
        find(debian, major=17, bin_directory=str(tmp_path / "mine") + "/")
    assert old in caught.value.message
    assert "postgresql-client-17" in caught.value.hint


def test_too_old_names_the_package(debian: pathlib.Path, tmp_path: pathlib.Path) -> None:
    install(tmp_path / "path", "13.4")
    with pytest.raises(ToolTooOld) as caught:
        find(debian, major=16)
    assert caught.value.details == {
        "tool": "pg_dump",
        "found": [13, 4],
        "needed": [16],
        "package": "postgresql-client-16",
    }
    assert "apt-get install postgresql-client-16" in caught.value.hint


def test_missing_names_the_package(debian: pathlib.Path) -> None:
    with pytest.raises(ToolMissing) as caught:
        find(debian, major=16)
    assert "apt-get install postgresql-client-16" in caught.value.hint
