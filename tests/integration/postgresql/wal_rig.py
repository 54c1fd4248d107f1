# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server that archives into a spool by the script, and what shipping would do with it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_archive_script import (
    SpoolSettings,
    archive_command,
    write_archive_script,
    write_spool_settings,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_source import (
    WalStreamOptions,
    WalStreamSource,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import Segment, StreamEvent
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.spool import Spool
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment, Stream
from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.integration.postgresql.rig import RUNNER, connection_to
from tests.support.waiting import wait_for

MIB = 1024 * 1024
SERIES = Series(service="shop", source="main", kind="wal")


@dataclass
class Archive:
    """*folder* holds script and spool; *server* archives into it while :func:`archiving` runs."""

    server: PostgreSQLServer
    folder: Path
    budget_mib: int = 4096
    journal: MemoryJournal = field(default_factory=MemoryJournal)

    @property
    def script(self) -> Path:
        return self.folder / "archive-wal"

    @property
    def spool_folder(self) -> Path:
        return self.folder / "spool"

    @property
    def spool(self) -> Spool:
        return Spool(path=str(self.spool_folder), budget=self.budget_mib * MIB)

    @property
    def identifier(self) -> str:
        return str(self.server.query("SELECT system_identifier FROM pg_control_system()")[0][0])

    def names(self) -> list[str]:
        """What waits."""
        return [entry.name for entry in self.spool.entries()]

    def hidden(self) -> list[str]:
        """What else is in the spool."""
        return sorted(path.name for path in self.spool_folder.iterdir() if path.name.startswith("."))

    def tell(self, *, identifier: str | None = None, budget_mib: int | None = None) -> None:
        """Bind the spool."""
        budget = self.budget_mib if budget_mib is None else budget_mib
        write_spool_settings(str(self.spool_folder), SpoolSettings(identifier or self.identifier, budget))

    def use(self, command: str | None = None) -> None:
        """Let the server archive by that command; by the script without one."""
        text = command or archive_command(script=str(self.script), spool=str(self.spool_folder))
        self.server.query("ALTER SYSTEM SET archive_command = '" + text.replace("'", "''") + "'")
        self.wake()

    def wake(self) -> None:
        """After three failures the archiver sleeps for a minute, unless something happens."""
        self.server.query("SELECT pg_reload_conf()")

    def segments(self, count: int) -> list[str]:
        """Finish that many segments, each with a commit; their names."""
        self.server.query("CREATE TABLE IF NOT EXISTS ledger (number serial PRIMARY KEY, at timestamptz DEFAULT now())")
        names = []
        for _number in range(count):
            self.server.query("INSERT INTO ledger DEFAULT VALUES")
            names.append(self.server.query("SELECT pg_walfile_name(pg_switch_wal())")[0][0])
        return names

    def wait_for(self, name: str) -> None:
        """Until it is archived."""
        self.until(lambda: name in self.names(), f"{name} in the spool")

    def wait_until_failing(self) -> None:
        """Until the archiver has failed with something."""
        before = self.failures()
        self.until(lambda: self.failures() > before, "a failure of the archiver")

    def failures(self) -> int:
        return int(self.server.query("SELECT failed_count FROM pg_stat_archiver")[0][0])

    def until(self, condition: t.Callable[[], bool], what: str) -> None:
        wait_for(condition, what=lambda: f"{what}; the server's log ends with:\n{self.log()[-3000:]}")

    def log(self) -> str:
        return self.server.log_file.read_text(encoding="utf-8", errors="replace")

    def source(self, **options: t.Any) -> WalStreamSource:
        return WalStreamSource(
            connection=connection_to(self.server),
            options=WalStreamOptions(**options),
            spool=self.spool,
            runner=RUNNER,
            clock=SystemClock(),
            journal=self.journal,
        )

    def stored(self, source: WalStreamSource, *, names: t.Container[str] | None = None) -> Stream:
        """What records would say after what waits (or *names* of it) was shipped. The files stay where they are."""
        clock = SystemClock()
        segments = []
        for entry in self.spool.entries():
            if names is not None and entry.name not in names:
                continue
            _lineage, description = source.describe(entry)
            digest = hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()
            payload = StoredPayload(
                name=entry.name,
                media="WAL",
                size=entry.size,
                sha256=digest,
                plain_size=entry.size,
                compression=None,
                encryption=None,
            )
            segments.append(StoredSegment(Segment(description, payload, digest, clock.now()), {}))
        return Stream(folder=StreamFolder(SERIES, self.identifier), segments=tuple(segments))

    def progress(self) -> Progress:
        return Progress(clock=SystemClock())


def with_events(stored: Stream, events: t.Sequence[StreamEvent]) -> Stream:
    """The stream after they were recorded."""
    return Stream(folder=stored.folder, segments=stored.segments, events=(*stored.events, *events))


def own(path: Path) -> None:
    """Give it to the servers' user."""
    user = operating_system_user()
    if user is not None:
        shutil.chown(path, user, pwd.getpwnam(user).pw_gid)


@contextlib.contextmanager
def archiving(server: PostgreSQLServer, *, begin: bool = True) -> t.Iterator[Archive]:
    """Let the server archive into a new spool for a while; afterwards it does as before."""
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-test-"))
    folder.chmod(0o755)
    archive = Archive(server=server, folder=folder)
    archive.spool_folder.mkdir(mode=0o700)
    own(archive.spool_folder)
    write_archive_script(str(archive.script))
    try:
        if begin:
            archive.tell()
            archive.use()
        yield archive
    finally:
        server.query("ALTER SYSTEM RESET archive_command")
        archive.wake()
        # What waited for us goes where it always does; nobody is to find it later.
        status = server.data_directory / "pg_wal" / "archive_status"
        archive.until(lambda: not [name for name in os.listdir(status) if name.endswith(".ready")], "quiet archive")
        server.query("DROP TABLE IF EXISTS ledger")
        shutil.rmtree(folder)
