# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis backups through the levels: read to their end, loaded into a scratch server, questioned."""

from __future__ import annotations

import contextlib
import os
import pwd
import typing as t

from ..core.checksums import CRC64_REDIS, crc_function
from ..core.errors import RestoreTargetInvalid, ScratchUnusable
from ..core.host import Host
from ..core.progress import Progress
from ..core.runner import find_program
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import Check
from ..recovery.scratch import Scratch
from ..recovery.verifier import Instance, VerifierContext, VerifierNeeds
from .listing import list_aof, list_rdb
from .loadable import extra_modules, refuse_unloadable
from .noted import noted_in
from .own_server import own_persistence
from .scratch_server import account_for, data_folder_of, running
from .server_program import ServerProgram, find_server
from .staging import hand_over, lay_out_aof, lay_out_rdb, stage_aof, stage_rdb
from .verifier_options import RedisVerifierOptions

_SCRATCH_LEVEL = 3


class RedisVerifier:
    """See :class:`recovery.verifier.Verifier`."""

    engine = "redis"

    def __init__(self, *, kind: str, options: RedisVerifierOptions, context: VerifierContext) -> None:
        self.kind = kind
        self._options = options
        self._host: Host = context.host
        self._noted = noted_in(context.manifest)

    def inspect(self, *, level: int) -> VerifierNeeds:
        """See Verifier. Raises LibraryMissing, ToolMissing, RestoreVersionMismatch and RestoreTargetInvalid."""
        crc_function(CRC64_REDIS)
        if level < _SCRATCH_LEVEL:
            return VerifierNeeds(bytes=0)
        find_program("prlimit")
        program = self._program()
        return VerifierNeeds(bytes=self._noted.size, facts={"program": program.path, "server": str(program.version)})

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """See Verifier. Raises RdbInvalid, AofInvalid and HostileArchive."""
        if self.kind == "rdb":
            return list_rdb(source, self._noted, progress=progress)
        return list_aof(source, self._noted, progress=progress)

    @contextlib.contextmanager
    def scratch(self, *, source: PayloadSource, scratch: Scratch, progress: Progress) -> t.Iterator[Instance]:
        """See Verifier. Raises ScratchFailed and ScratchUnusable."""
        program = self._program()
        self._require_memory(scratch)
        progress.stage("fetching and loading")
        persistence = own_persistence(kind=self.kind, is_multi_part=program.version.is_multi_part)
        folder = data_folder_of(scratch)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        staging = os.path.join(folder, "staging")
        if self.kind == "rdb":
            stage_rdb(source, self._noted, staging, progress=progress)
            places = lay_out_rdb(staging, persistence)
        else:
            places = lay_out_aof(staging, stage_aof(source, self._noted, staging, progress=progress), persistence)
        account = account_for(scratch, self._options)
        if account is not None:
            user = pwd.getpwnam(account)
            hand_over(staging, user=user.pw_uid, group=user.pw_gid, mode=0o600)
        for staged, name in places:
            os.rename(os.path.join(staging, staged), os.path.join(folder, name))
        progress.stage("starting")
        with running(
            program=program,
            noted=self._noted,
            kind=self.kind,
            persistence=persistence,
            scratch=scratch,
            account=account,
            options=self._options,
            host=self._host,
        ) as server:
            yield server

    def _program(self) -> ServerProgram:
        program = find_server(self._noted, named=self._options.server_program, runner=self._host.runner)
        refuse_unloadable(self._noted, program.version, kind=self.kind)
        needed = extra_modules(self._noted, program.version)
        if len(needed) > len(self._options.modules):
            raise RestoreTargetInvalid(
                f"The backup needs the modules {', '.join(needed)}, and the scratch server was given "
                f"{len(self._options.modules)}.",
                hint="Name their files: modules: [/usr/lib/redis/modules/rejson.so]",
                details={"modules": needed},
            )
        return program

    def _require_memory(self, scratch: Scratch) -> None:
        if self._noted.used_memory > scratch.memory_limit:
            raise ScratchUnusable(
                f"The source used {self._noted.used_memory} bytes of memory, and the scratch server may use "
                f"{scratch.memory_limit}: it would have to drop keys.",
                hint=f"Raise memory_limit to {self._noted.used_memory} or more, or verify on a larger host.",
                details={"needed": self._noted.used_memory, "limit": scratch.memory_limit},
            )
