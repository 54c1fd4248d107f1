# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WAL that makes a tablespace, found before it is replayed.

Replaying CREATE TABLESPACE makes a link to the very folder that it named, and takes what lies there for its own (see
create_tablespace_directories in src/backend/commands/tablespace.c). Next to a running source that folder is the
source's, and what is replayed after it overwrites its files. So such WAL is not replayed: a base backup that was made
after the tablespace is the way.
"""

from __future__ import annotations

import os
import re
import tempfile
import typing as t

from ..core.errors import PostgresTablespaceInWal, ToolMissing
from ..core.runner import Runner
from .names import parse_lsn
from .programs import ServerPrograms
from .wal_names import SEGMENT, parse_wal_name

if t.TYPE_CHECKING:
    from ..catalog.manifest import Manifest

_CREATE = re.compile(r'lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),.* desc: CREATE (?P<oid>\d+) "(?P<folder>.*)"')
_TIMEOUT = 600.0


def refuse_own_wal(folder: str, *, manifest: Manifest, programs: ServerPrograms, runner: Runner) -> None:
    """Look through the WAL that an unpacked backup brought with it. Raises PostgresTablespaceInWal and ToolMissing."""
    begins = parse_lsn(str(manifest.content.get("start_lsn") or "0/0"))
    wal = os.path.join(folder, "pg_wal")
    for name in sorted(os.listdir(wal)):
        parsed = parse_wal_name(name)
        if parsed is not None and parsed.what == SEGMENT:
            refuse_segment(os.path.join(wal, name), name=name, begins=begins, programs=programs, runner=runner)


def refuse_segment(
    path: str, *, name: str, begins: int, programs: ServerPrograms, runner: Runner, ends: int | None = None
) -> None:
    """Look through one segment, from *begins* on and up to *ends*. Raises PostgresTablespaceInWal and ToolMissing.

    A record that crosses into the next segment is not seen, nor is what is behind damage (the replay ends there).
    """
    if not programs.has("pg_waldump"):
        raise ToolMissing(
            f"pg_waldump is not in {programs.bin_directory}, so nobody can tell whether the WAL makes a tablespace.",
            hint=f"Install the server's programs, on Debian: apt-get install postgresql-{programs.major}",
            details={"tool": "pg_waldump"},
        )
    with tempfile.TemporaryDirectory(prefix="lifeboat-wal-") as place:
        # It takes the position from the file's name, which may still be another one.
        os.symlink(os.path.abspath(path), os.path.join(place, name))
        # As ourselves: it only reads, and the file may not be the account's yet.
        done = runner.run(
            [programs.path("pg_waldump"), "--rmgr=Tablespace", os.path.join(place, name)],
            timeout=_TIMEOUT,
            check=False,
        )
    if done.status not in (0, 1):  # 1: it came to the end of what is valid
        said = done.error.decode("utf-8", "replace").strip()
        raise ToolMissing(
            f"pg_waldump ended with status {done.status}, so nobody can tell whether {name} makes a tablespace: {said}",
            hint=f"Run: {programs.path('pg_waldump')} --version",
            details={"tool": "pg_waldump"},
        )
    for found in _CREATE.finditer(done.text):
        position = parse_lsn(found["lsn"])
        if begins <= position and (ends is None or position <= ends):
            raise PostgresTablespaceInWal(
                f"The WAL segment {name} makes the tablespace {found['oid']} in {found['folder']}: replaying it would "
                "write into that folder, whosever it is.",
                hint="Restore a base backup that was made after the tablespace, or recover to a point before it.",
                details={"segment": name, "lsn": found["lsn"], "oid": int(found["oid"]), "folder": found["folder"]},
            )
