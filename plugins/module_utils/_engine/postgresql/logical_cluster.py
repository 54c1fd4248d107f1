# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole new cluster from a logical backup: initdb, roles, every database; then the folder takes its place.

It is loaded in a folder beside the wanted one, by a server that only a socket leads to and that does not wait for the
disk; what it wrote is flushed before the folder is renamed. No existing cluster is touched.
"""

from __future__ import annotations

import os
import shutil
import stat
import typing as t

from ..core.durable import fsync_folder
from ..core.errors import PostgresNotReady, RestoreTargetInvalid
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.scratch import Scratch, free_bytes
from ..recovery.steps import Facts, Step
from .connection import PostgresConnection
from .instance import ServerFolder
from .logical_restore_options import ClusterRestoreOptions
from .logical_target import all_databases, database_content, incomplete
from .new_cluster import NewCluster, find_cluster_programs
from .programs import ServerPrograms
from .server_state import READ_WRITE, postmaster_pid, postmaster_state, severe_lines, wait_until
from .target_checks import needed_bytes

_CONFIGURATION = """
# Set when the cluster was restored from a logical backup.
port = {port}
"""
_START_SECONDS = 120.0
_LOG = "lifeboat-start.log"


class PgLogicalClusterRestorer:
    """A fresh cluster in an empty folder, with all roles and databases of a logical backup."""

    engine = "postgresql"
    kind = "logical"

    def __init__(
        self, *, connection: PostgresConnection, options: ClusterRestoreOptions, context: RestorerContext
    ) -> None:
        self._connection = connection
        self._options = options
        self._context = context
        self._staging = f"{options.data_directory}.restoring-{context.restore_id}"

    @property
    def target(self) -> str:
        """The data folder."""
        return self._options.data_directory

    def inspect(self, *, source: PayloadSource) -> RestoreInspection:
        """Whether the folder is free, the programs are here and there is room."""
        path = self._options.data_directory
        _require_free(path)
        programs = self._programs(source)
        databases = self._databases(source)
        contents = [database_content(source.manifest, name) for name in databases]
        sizes = [
            needed_bytes(content, plain_size=source.payload(str(content["payload"])).plain_size or 0)
            for content in contents
        ]
        return RestoreInspection(
            facts={
                "data_directory": path,
                "databases": databases,
                "server": programs.version,
                "account": programs.account,
                "port": self._options.port,
            },
            steps=tuple(step.title for step in self.steps(source=source, progress=self._progress())),
            needed_bytes=sum(sizes),
            free_bytes=free_bytes(os.path.dirname(path)),
            versions=f"dump of PostgreSQL {source.manifest.content.get('server_version')}, "
            f"server {'.'.join(map(str, programs.version))}",
            warnings=("Tablespaces are not made again: everything goes into the default one.",)
            if source.manifest.content.get("globals")
            else ("The backup has no roles (globals: false): owners and privileges can't be restored with it.",),
        )

    def steps(self, *, source: PayloadSource, progress: Progress) -> t.Sequence[Step]:
        """Load in a folder beside, give it its place, start it."""
        path = self._options.data_directory
        steps = [
            Step(
                name="load",
                title=f"Make a cluster in {self._staging} and load roles and databases into it",
                plan=lambda: {"staging": self._staging},
                do=lambda _facts: self._load(source, progress=progress),
                undo=lambda _facts: self._remove_staging(),
            ),
            Step(
                name="take the place",
                title=f"Rename it to {path}",
                plan=lambda: _noted_folder(path),
                do=lambda _facts: self._take_place(),
                undo=self._give_place_back,
            ),
        ]
        if self._options.start:
            steps.append(
                Step(
                    name="start",
                    title=f"Start it on port {self._options.port}",
                    do=lambda _facts: self._start(source),
                    undo=lambda _facts: self._stop(source),
                )
            )
        return steps

    def outcome(self, *, facts: t.Mapping[str, t.Mapping[str, t.Any]]) -> Restoration:
        """Where the cluster is and what is in it."""
        load = facts.get("load", {})
        path = self._options.data_directory
        start = f"pg_ctl -D {path} start"
        return Restoration(
            content={"databases": load.get("databases", {}), "server_version": load.get("server_version")},
            where=f"cluster in {path}" + (f", port {self._options.port}" if self._options.start else ", not started"),
            connect=f"psql -p {self._options.port} -U postgres" if self._options.start else start,
            warnings=tuple(load.get("warnings", ())),
        )

    def discard(self, *, facts: t.Mapping[str, t.Mapping[str, t.Any]]) -> tuple[str, ...]:
        """Nothing was moved aside."""
        return ()

    def _progress(self) -> Progress:
        return Progress(clock=self._context.host.clock)

    def _programs(self, source: PayloadSource) -> ServerPrograms:
        return find_cluster_programs(
            source.manifest, runner=self._context.host.runner, bin_directory=self._connection.bin_directory
        )

    def _databases(self, source: PayloadSource) -> list[str]:
        every = [str(entry["name"]) for entry in all_databases(source.manifest)]
        for name in self._options.databases:
            database_content(source.manifest, name)  # raises for one that the backup doesn't have
        return [name for name in every if not self._options.databases or name in self._options.databases]

    def _load(self, source: PayloadSource, *, progress: Progress) -> Facts:
        self._remove_staging()  # what a run left that died
        programs = self._programs(source)
        os.mkdir(self._staging, 0o711)
        scratch = Scratch(folder=self._staging, memory_limit=0)
        cluster = NewCluster(scratch=scratch, programs=programs, source=source, host=self._context.host)
        try:
            with cluster.running(progress=progress) as server:
                done: dict[str, t.Any] = {}
                cluster.load_roles(progress=progress)
                for name in self._databases(source):
                    loaded = cluster.load_database(name, manner=self._options.manner, progress=progress)
                    compared = cluster.compare(name, analyze=self._options.analyze)
                    if compared is not None and compared.differences:
                        raise incomplete(name, compared.differences)
                    done[name] = {
                        "tables": compared.tables if compared else None,
                        "rows": compared.rows if compared else None,
                        "tolerated": loaded.tolerated,
                    }
                server.stop(clock=self._context.host.clock)
        finally:
            scratch.stop()
        programs.run(
            "initdb", "--sync-only", f"--pgdata={cluster.place.data_directory}", runner=self._context.host.runner
        )
        self._configure(cluster.place)
        return {
            "databases": done,
            "server_version": ".".join(map(str, programs.version)),
            "warnings": list(cluster.warnings),
        }

    def _configure(self, place: ServerFolder) -> None:
        path = os.path.join(place.data_directory, "postgresql.conf")
        with open(path, "a", encoding="utf-8") as file:
            file.write(_CONFIGURATION.format(port=self._options.port))

    def _staged_data(self) -> str:
        return ServerFolder(folder=os.path.join(self._staging, NewCluster.NAME)).data_directory

    def _take_place(self) -> None:
        if os.path.isdir(self._staged_data()):
            os.rename(self._staged_data(), self._options.data_directory)  # replaces an empty folder, and no other
        fsync_folder(os.path.dirname(self._options.data_directory))
        shutil.rmtree(self._staging, ignore_errors=True)

    def _give_place_back(self, facts: Facts) -> None:
        path = self._options.data_directory
        if os.path.isdir(self._staged_data()) or not os.path.exists(os.path.join(path, "PG_VERSION")):
            return
        os.makedirs(os.path.dirname(self._staged_data()), mode=0o711, exist_ok=True)
        os.rename(path, self._staged_data())
        if "mode" in facts:
            os.mkdir(path)
            os.chown(path, facts["uid"], facts["gid"])
            os.chmod(path, facts["mode"])

    def _remove_staging(self) -> None:
        if os.path.isdir(self._staging):
            Scratch(folder=self._staging, memory_limit=0).stop()
            shutil.rmtree(self._staging)

    def _start(self, source: PayloadSource) -> Facts:
        programs, path = self._programs(source), self._options.data_directory
        log = os.path.join(path, _LOG)
        if postmaster_pid(path) is None:
            # That it returned proves nothing; its state is looked at below.
            programs.run(
                "pg_ctl", f"--pgdata={path}", f"--log={log}", "--no-wait", "start", runner=self._context.host.runner
            )
        deadline = self._context.host.clock.monotonic() + 5
        while postmaster_pid(path) is None and self._context.host.clock.monotonic() < deadline:
            self._context.host.clock.sleep(0.05)
        wait_until(
            (READ_WRITE,),
            state=lambda: postmaster_state(path),
            is_paused=lambda: False,
            said=lambda: severe_lines(log),
            what=f"The server in {path}",
            log=log,
            timeout=_START_SECONDS,
            clock=self._context.host.clock,
        )
        return {"pid": postmaster_pid(path)}

    def _stop(self, source: PayloadSource) -> None:
        path = self._options.data_directory
        if postmaster_pid(path) is not None:
            self._programs(source).run(
                "pg_ctl", f"--pgdata={path}", "--mode=fast", "--wait", "stop", runner=self._context.host.runner
            )
        if postmaster_pid(path) is not None:
            raise PostgresNotReady(
                f"The server in {path} does not stop.", hint=f"Run: pg_ctl -D {path} -m immediate stop"
            )


def _require_free(path: str) -> None:
    parent = os.path.dirname(path)
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
        raise RestoreTargetInvalid(
            f"The folder {parent} is not there or can't be written.", hint=f"Run: mkdir -p {parent}"
        )
    if os.path.islink(path) or os.path.ismount(path):
        raise RestoreTargetInvalid(
            f"{path} is a link or a mount point, which can't be renamed into place.",
            hint="Name a folder below it.",
        )
    if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise RestoreTargetInvalid(
            f"{path} is not an empty folder.",
            hint="Name another data_directory; a cluster that is there is never overwritten.",
        )


def _noted_folder(path: str) -> dict[str, int]:
    """How to make the empty folder again; nothing when there is none."""
    if not os.path.isdir(path):
        return {}
    found = os.stat(path)
    return {"mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}
