# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server that archives with the genuine WAL-G into a folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.postgresql import PostgreSQLServer, as_user, operating_system_user
from tests.integration.postgresql.physical import Physical
from tests.integration.postgresql.rig import SECRET
from tests.integration.postgresql.wal_rig import own


def genuine_walg() -> str:
    """The genuine program; skips loudly where there is none."""
    for folder in (os.environ.get("LIFEBOAT_WALG"), os.path.dirname(shutil.which("wal-g") or "")):
        if folder and os.access(Path(folder) / "wal-g", os.X_OK):
            return str(Path(folder) / "wal-g")
    pytest.skip("INTEROP NOT TESTED: no wal-g on PATH or in LIFEBOAT_WALG")


@dataclass
class WalgRig:
    """*server* archives by *program* into *storage*; *physical* backs it up."""

    server: PostgreSQLServer
    program: str
    folder: Path
    physical: Physical

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def config(self) -> Path:
        return self.folder / "walg.json"

    @property
    def options(self) -> dict[str, t.Any]:
        """Of a backup."""
        return {"program": self.program, "config": str(self.config), "archive_wait": 30}

    @property
    def place(self) -> dict[str, t.Any]:
        """Of a restore."""
        return {"program": self.program, "config": str(self.config)}

    def backup(self, **walg: t.Any) -> str:
        """Make one; its id."""
        return self.physical.backup(tool="walg", walg={**self.options, **walg})

    def content(self, backup_id: str) -> dict[str, t.Any]:
        return dict(self.physical.source(backup_id).manifest.content)

    def run(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """The program by hand, as an operator would."""
        return subprocess.run(
            [*as_user(operating_system_user()), self.program, "--config", str(self.config), *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    def segment(self) -> str:
        """A committed row and the end of its segment, archived; the segment's name."""
        self.server.query("CREATE TABLE IF NOT EXISTS ledger (number serial PRIMARY KEY, at timestamptz DEFAULT now())")
        self.server.query("INSERT INTO ledger DEFAULT VALUES")
        name = str(self.server.query("SELECT pg_walfile_name(pg_switch_wal())")[0][0])
        deadline = time.monotonic() + 40
        while not list(self.storage.glob(f"wal_005/{name}.lz4")):
            assert time.monotonic() < deadline, f"{name} is not archived: {self.server.log_file.read_text()[-3000:]}"
            time.sleep(0.05)
        return name

    def forgotten_segment(self) -> None:
        """Until the archiver says of a segment that it is archived, and it is not in the storage."""
        deadline = time.monotonic() + 40
        while True:
            self.server.query("INSERT INTO ledger DEFAULT VALUES")
            name = str(self.server.query("SELECT pg_walfile_name(pg_switch_wal())")[0][0])
            while self.server.query("SELECT last_archived_wal FROM pg_stat_archiver")[0][0] != name:
                assert time.monotonic() < deadline, "the archiver does nothing"
                time.sleep(0.05)
            if not (self.storage / "wal_005" / f"{name}.lz4").exists():
                return

    def promote_elsewhere(self) -> None:
        """Let the server begin another timeline, as after a recovery."""
        self.server.stop()
        (self.server.data_directory / "recovery.signal").touch()
        own(self.server.data_directory / "recovery.signal")
        with (self.server.data_directory / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write("restore_command = 'false'\n")
        self.server.start()
        deadline = time.monotonic() + 40
        while self.server.query("SELECT pg_is_in_recovery()")[0][0]:
            assert time.monotonic() < deadline, "the server was not promoted"
            time.sleep(0.05)
        self.server.query("CHECKPOINT")


@contextlib.contextmanager
def walg_rig() -> t.Iterator[WalgRig]:
    """All of it, gone afterwards."""
    program = genuine_walg()
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    folder.chmod(0o755)
    try:
        (folder / "storage").mkdir(mode=0o700)
        own(folder / "storage")
        config = folder / "walg.json"
        config.write_text(json.dumps({"WALG_FILE_PREFIX": str(folder / "storage"), "WALG_UPLOAD_CONCURRENCY": "2"}))
        archive = f'{program} --config {config} wal-push "%p"'
        with PostgreSQLServer(password=SECRET, settings={"archive_command": archive}) as server:
            physical = folder / "p"
            (physical / "repository").mkdir(parents=True)
            yield WalgRig(
                server=server,
                program=program,
                folder=folder,
                physical=Physical(server=server, folder=physical),
            )
    finally:
        shutil.rmtree(folder)
