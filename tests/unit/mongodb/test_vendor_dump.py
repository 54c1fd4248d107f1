# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mongodump is driven without a secret on its command line, and its counts are read."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import ToolMissing, ToolTooOld
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import Completed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.connection import MongoConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.namespaces import Scope
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.vendor_dump import (
    DumpCounts,
    configuration_file,
    find_mongodump,
    mongodump_argv,
)


class Says:
    """Stands in for running a program: it prints what the test says."""

    def __init__(self, text: str) -> None:
        self._text = text

    def run(self, argv: t.Sequence[str], **_options: t.Any) -> Completed:
        return Completed(status=0, output=self._text.encode(), error=b"")


def program_in(folder: t.Any) -> str:
    path = folder / "mongodump"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(folder)


def test_the_command_line() -> None:
    connection = MongoConnection.from_description({"uri": "mongodb://ann:SECRET@h", "tls_ca_file": "/ca"})
    argv = mongodump_argv(
        program="/bin/mongodump",
        configuration="/dev/fd/9",
        connection=connection,
        scope=Scope(database="shop", exclude=("old",)),
        mode="none",
        parallel=3,
    )
    assert argv == (
        "/bin/mongodump",
        "--config=/dev/fd/9",
        "--archive",
        "--numParallelCollections=3",
        "--readPreference=primaryPreferred",
        "--ssl",
        "--sslCAFile=/ca",
        "--db=shop",
        "--dumpDbUsersAndRoles",
        "--excludeCollection=old",
    )
    whole = mongodump_argv(
        program="m", configuration="/dev/fd/9", connection=connection, scope=Scope(), mode="oplog", parallel=4
    )
    assert whole[-1] == "--oplog"
    assert "SECRET" not in " ".join([*argv, *whole])


def test_the_uri_is_handed_over_in_memory_and_gone_afterwards() -> None:
    with configuration_file('mongodb://ann:s"\\x@h') as (descriptor, path):
        assert path == f"/dev/fd/{descriptor}"
        with open(path, encoding="utf-8") as first, open(path, encoding="utf-8") as second:
            assert first.read() == second.read() == 'uri: "mongodb://ann:s\\"\\\\x@h"\n'
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize(
    ("server", "printed", "fits"),
    [
        ("6.0.5", "mongodump version: 100.9.4\nGo version: go1.21\n", True),
        ("6.0.5", "mongodump version: r4.0.28\n", False),
        ("8.0.1", "mongodump version: 100.9.4\n", False),
        ("8.0.1", "mongodump version: 100.10.0\n", True),
        ("8.3.0", "mongodump version: 100.15.0\n", False),
    ],
)
def test_the_tool_must_fit_the_server(tmp_path: t.Any, server: str, printed: str, fits: bool) -> None:
    folder = program_in(tmp_path)
    journal = MemoryJournal()
    if fits:
        tool = find_mongodump(runner=Says(printed), directory=folder, server_version=server, journal=journal)
        assert tool.version == printed.split()[2]
    else:
        with pytest.raises(ToolTooOld, match="mongodump is version"):
            find_mongodump(runner=Says(printed), directory=folder, server_version=server, journal=journal)


def test_a_version_that_is_not_told_is_a_warning(tmp_path: t.Any) -> None:
    journal = MemoryJournal()
    printed = "mongodump version: built-without-version-string\nGo version: go1.26.8\n"
    tool = find_mongodump(runner=Says(printed), directory=program_in(tmp_path), server_version="6.0.5", journal=journal)
    assert tool.version == ""
    assert len(journal.warnings) == 1


def test_a_missing_tool_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: t.Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if os.path.exists("/usr/bin/mongodump") or os.path.exists("/usr/local/bin/mongodump"):
        pytest.skip("mongodump is installed system-wide")
    with pytest.raises(ToolMissing) as raised:
        find_mongodump(runner=Says(""), directory=None, server_version="6.0.5", journal=MemoryJournal())
    assert "mongodb-database-tools" in raised.value.hint
    assert "tool: native" in raised.value.hint


def test_counts_are_read_from_the_messages() -> None:
    counts = DumpCounts()
    for line in (
        "2026-11-21T09:36:13.004+0000\twriting `shop.orders` to `archive on stdout`",
        "2026-11-21T09:36:13.004+0000\tdone dumping `shop.orders` (900000 documents)",
        "2026-11-21T09:36:13.004+0000\tdone dumping shop.old (1 document)",
        "2026-11-21T09:36:13.004+0000\tdone dumping `shop.with (odd) name` (0 documents)",
        "2026-11-21T09:36:13.004+0000\tdone dumping `shop.system.buckets.weather` (7 documents)",
    ):
        counts.line(line)
    assert counts.documents == {
        "shop.orders": 900000,
        "shop.old": 1,
        "shop.with (odd) name": 0,
        "shop.system.buckets.weather": 7,
    }
