# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup into an empty folder, with a server of its own: nothing that exists is touched."""

from __future__ import annotations

import os
import shlex
import typing as t

from ..core.checksums import CRC64_REDIS, crc_function
from ..core.durable import fsync_folder
from ..core.errors import RestoreTargetInvalid
from ..core.progress import Progress
from ..recovery.ledger import Ledger
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import Restoration, RestoreInspection, RestorerContext
from ..recovery.scratch import free_bytes
from ..recovery.steps import Facts, Step
from .beside_server import CONFIGURATION, LOG, PID, BesideServer, account_of, refuse_folder, refuse_port
from .comparing import require_loaded
from .loadable import extra_modules, refuse_unloadable
from .noted import Noted
from .own_server import SOCKET, own_persistence
from .restore_options import RedisRestoreOptions
from .restored_data import RestoredData
from .server_program import ServerProgram, find_server
from .staging import Persistence, hand_over, remove

_FOLDER, _FETCH, _PLACE, _START = "folder", "fetch", "place", "start"
_ASKS = "It asks for the password of the connection, as the user default: export REDISCLI_AUTH before redis-cli."


class BesideRestorer:
    """See :class:`recovery.restorer.Restorer`."""

    engine = "redis"

    def __init__(self, *, data: RestoredData, options: RedisRestoreOptions, context: RestorerContext) -> None:
        self.kind = data.kind
        self._data = data
        self._context = context
        self._options = options
        self._host = context.host
        self._id = context.restore_id
        self._folder = options.data_directory
        self._server = BesideServer(options=options, host=context.host)

    @property
    def target(self) -> str:
        """The folder."""
        return self._folder

    def inspect(self, *, source: PayloadSource | None) -> RestoreInspection:
        """See Restorer. Raises RestoreTargetInvalid, RestoreVersionMismatch and ToolMissing."""
        crc_function(CRC64_REDIS)
        noted = self._data.noted(source)
        program = self._program(noted)
        if source is not None:
            source.require_key()
        refuse_folder(self._folder)
        refuse_port(self._options.port, folder=self._folder)
        account_of(self._options.user, folder=self._folder)
        warnings = [] if self._options.start else ["It is laid out only: whether it loads shows when it is started."]
        if self._options.port and not self._options.connection.password.is_given:
            warnings.append("No connection.password is given: every user of this host can read it at the port.")
        if noted.cluster_node:
            warnings.append("The backup is of one node of a cluster: it holds some of the slots.")
        return RestoreInspection(
            facts={"server": str(program.version), "program": program.path, "backup": noted.server},
            steps=tuple(step.title for step in self.steps(source=source, progress=Progress(clock=self._host.clock))),
            needed_bytes=noted.size,
            free_bytes=free_bytes(self._folder),
            versions=f"backup of {noted.server}, server {program.version}",
            warnings=tuple(warnings),
        )

    def steps(self, *, source: PayloadSource | None, progress: Progress) -> t.Sequence[Step]:
        """See Restorer."""
        noted = self._data.noted(source)
        steps = [
            Step(
                name=_FOLDER,
                title=f"make the folder {self._folder}",
                plan=lambda: {"existed": os.path.isdir(self._folder)},
                do=lambda _facts: self._make_folder(),
                undo=self._remove_folder,
            ),
            Step(
                name=_FETCH,
                title="fetch and check the backup there",
                do=lambda _facts: self._fetch(source, noted, progress),
                undo=lambda _facts: self._discard_staging(),
            ),
            Step(
                name=_PLACE,
                title=f"put the data in its place, and write {CONFIGURATION}",
                do=lambda _facts: self._place(noted),
                undo=lambda _facts: self._take_away(),
            ),
        ]
        if self._options.start:
            steps.append(
                Step(
                    name=_START,
                    title="start the server, wait until it has loaded, and compare the counts",
                    do=lambda _facts: self._start(noted),
                    undo=lambda _facts: self._server.stop(),
                )
            )
        return steps

    def outcome(self, *, facts: t.Mapping[str, Facts]) -> Restoration:
        """See Restorer."""
        started = facts.get(_START)
        command = str(facts[_PLACE]["command"])
        if started is None:
            return Restoration(
                content={"server": facts[_PLACE]["server"]},
                where=f"folder {self._folder}",
                connect=f"cd {shlex.quote(self._folder)} && {command}",
                warnings=("It was not started, so nobody has counted its keys yet.",),
            )
        port = f" at 127.0.0.1:{self._options.port}" if self._options.port else ""
        return Restoration(
            content={name: started[name] for name in ("server", "keyspace", "keys_of_rdb")},
            where=f"folder {self._folder}{port}",
            connect=self._server.client_command,
            warnings=(_ASKS,) if self._options.connection.password.is_given else (),
        )

    def discard(self, *, facts: t.Mapping[str, Facts]) -> tuple[str, ...]:
        """See Restorer: nothing was moved aside."""
        del facts
        return ()

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _program(self, noted: Noted) -> ServerProgram:
        program = find_server(noted, named=self._options.server_program, runner=self._host.runner)
        refuse_unloadable(noted, program.version, kind=self._data.form)
        needed = extra_modules(noted, program.version)
        if len(needed) > len(self._options.modules):
            raise RestoreTargetInvalid(
                f"The backup needs the modules {', '.join(needed)}, and the server beside was given "
                f"{len(self._options.modules)}.",
                hint="Name their files: modules: [/usr/lib/redis/modules/rejson.so]",
                details={"modules": needed},
            )
        return program

    # --- the steps ---------------------------------------------------------------------------------------------------

    @property
    def _staging(self) -> str:
        return os.path.join(self._folder, f"lifeboat-restore-{self._id}")

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _make_folder(self) -> Facts:
        account = account_of(self._options.user, folder=self._folder)
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        fsync_folder(os.path.dirname(self._folder))
        return {"user": None if account is None else account.pw_name}

    def _remove_folder(self, facts: Facts) -> None:
        if not facts.get("existed") and os.path.isdir(self._folder) and not os.listdir(self._folder):
            os.rmdir(self._folder)

    def _discard_staging(self) -> None:
        remove(self._staging)

    def _fetch(self, source: PayloadSource | None, noted: Noted, progress: Progress) -> Facts:
        program = self._program(noted)
        persistence = own_persistence(kind=self._data.form, is_multi_part=program.version.is_multi_part)
        _places, facts = self._data.stage(
            source, noted, self._staging, persistence, program=program.path, progress=progress
        )
        return facts

    def _place(self, noted: Noted) -> Facts:
        program = self._program(noted)
        persistence = own_persistence(kind=self._data.form, is_multi_part=program.version.is_multi_part)
        account, configuration = account_of(self._options.user, folder=self._folder), self._path(CONFIGURATION)
        self._server.write_configuration(persistence, databases=noted.databases)
        if os.path.isdir(self._staging):
            if account is not None:
                os.chown(configuration, account.pw_uid, account.pw_gid)
                hand_over(self._staging, user=account.pw_uid, group=account.pw_gid, mode=0o600)
            for staged, name in self._places(persistence):
                if os.path.lexists(os.path.join(self._staging, staged)):
                    os.rename(os.path.join(self._staging, staged), self._path(name))
            remove(self._staging)
        fsync_folder(self._folder)
        argv = self._server.argv(program, account)
        return {"command": shlex.join(argv), "server": str(program.version)}

    def _places(self, persistence: Persistence) -> list[tuple[str, str]]:
        if self._data.form == "rdb":
            return [("dump.rdb", persistence.rdb_name)]
        if persistence.append_folder is not None:
            return [("append-only", persistence.append_folder)]
        inner = os.path.join(self._staging, "append-only")
        names = os.listdir(inner) if os.path.isdir(inner) else []
        return [(os.path.join("append-only", name), persistence.append_name) for name in names]

    def _take_away(self) -> None:
        persistence = own_persistence(kind=self._data.form, is_multi_part=True)
        single = own_persistence(kind=self._data.form, is_multi_part=False)
        names = {persistence.rdb_name, persistence.append_path, single.append_path, CONFIGURATION, LOG, PID, SOCKET}
        for name in sorted(names):
            remove(self._path(name))

    def _start(self, noted: Noted) -> Facts:
        program = self._program(noted)
        self._server.start(program, account_of(self._options.user, folder=self._folder))
        figures = self._server.wait()
        require_loaded(noted, figures, kind=self._data.form)
        persistence = own_persistence(kind=self._data.form, is_multi_part=program.version.is_multi_part)
        ledger = Ledger.load(state=self._context.state, clock=self._host.clock, restore_id=self._id)
        self._data.require_loaded(ledger.facts(_FETCH), self._folder, persistence)
        return {
            "server": str(program.version),
            "keyspace": {name: dict(counts) for name, counts in figures.keyspace.items()},
            "keys_of_rdb": figures.from_rdb,
        }
