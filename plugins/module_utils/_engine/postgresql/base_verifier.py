# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups and increments of PostgreSQL, proved: read through, brought to life by their own WAL, questioned."""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ..core.errors import PostgresServerDied, ScratchFailed
from ..core.progress import Progress
from ..core.runner import find_program
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, PASSED, SKIPPED, Check
from ..recovery.scratch import Scratch
from ..recovery.verifier import VerifierContext, VerifierNeeds
from .base_folder import control_settings, verify_folder
from .base_instance import BaseInstance
from .base_label import expectations
from .base_listing import BaseListing
from .base_unpack import needed_bytes, payload_name, require_chain, unpack_chain
from .base_verify_options import BaseVerifyOptions
from .instance import OwnServer, ServerFolder, make_place, start
from .programs import ServerPrograms, find_server_programs, server_account
from .tablespace_wal import refuse_own_wal
from .tablespaces import TablespaceFolder, remove_map, stored_tablespaces
from .walg_restore import is_walg, missing_wal, open_walg, walg_bytes

_OLDEST_KNOWN_MAJOR = 12
# Recovery fails when these are below what they were on the source.
_RECOVERED = {
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}


class PgBaseVerifier:
    """Proves one base backup, or an increment with its chain."""

    engine = "postgresql"

    def __init__(self, *, context: VerifierContext, options: BaseVerifyOptions) -> None:
        self.kind = context.manifest.kind
        self._manifest = context.manifest
        self._host = context.host
        self._chain = context.chain
        self._options = options

    def inspect(self, *, level: int) -> VerifierNeeds:
        """Level 2 needs no PostgreSQL; from level 3 on its programs of exactly the backup's major version are needed.

        Raises ToolMissing, RestoreVersionMismatch, PostgresAccountMissing, PostgresChainIncomplete.
        """
        if level <= 2:
            return VerifierNeeds(bytes=0)
        programs = self._programs()
        for tool in ("tar", "nice"):
            find_program(tool)
        plain = (walg_bytes(self._manifest) if is_walg(self._manifest) else self._manifest.plain_bytes) or sum(
            payload.size * 4 for payload in self._manifest.payloads
        )
        parts = sum(link.manifest.plain_bytes or 0 for link in self._chain)
        # What recovery writes is small beside what was unpacked.
        needed = plain + parts * 2 + 64 * 1024 * 1024
        return VerifierNeeds(bytes=needed, facts={"postgresql": ".".join(map(str, programs.version))})

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """Level 2: see :class:`BaseListing`; further payloads are read to their end.

        The data of a backup of WAL-G is elsewhere: what is stored is read, and that the rest is there is asked.
        """
        if is_walg(self._manifest):
            yield from self._list_walg(source, progress)
            return
        listing = BaseListing()
        tablespaces = stored_tablespaces(self._manifest)
        for one in tablespaces:
            read = functools.partial(listing.read_tablespace, oid=one.oid)
            source.deliver(one.payload, PayloadOutput(read=read), progress=progress)
        source.deliver(payload_name(source), PayloadOutput(read=listing.read), progress=progress)
        yield from listing.checks(self._manifest, parent_start=self._parent_start())
        for name in source.names:
            if name not in (payload_name(source), *(one.payload for one in tablespaces)):
                source.deliver(name, PayloadOutput(read=_drain), progress=progress)

    @contextlib.contextmanager
    def scratch(self, *, source: PayloadSource, scratch: Scratch, progress: Progress) -> t.Iterator[BaseInstance]:
        """Level 3: unpacked, combined, recovered to consistency by its own WAL, accepting connections.

        Raises what unpacking raises and ScratchFailed when the server does not come up.
        """
        programs = self._programs()
        require_chain(source, chain=self._chain, programs=programs)
        progress.stage("fetching and loading", bytes_expected=needed_bytes(source, chain=()))
        place = make_place(scratch, name="postgresql", programs=programs, runner=self._host.runner)
        unpack_chain(
            source,
            chain=self._chain,
            folder=place.data_directory,
            programs=programs,
            runner=self._host.runner,
            progress=progress,
            durable=False,
            clock=self._host.clock,
            walg=self._options.walg,
            tablespaces=self._tablespaces(place, programs=programs),
        )
        if self._chain:
            verify_folder(place.data_directory, programs=programs, runner=self._host.runner)
        remove_map(place.data_directory)
        refuse_own_wal(place.data_directory, manifest=self._manifest, programs=programs, runner=self._host.runner)
        progress.stage("starting")
        server = self._start(scratch, place=place, programs=programs)
        instance = BaseInstance(
            server=server,
            restart=lambda: self._start(scratch, place=place, programs=programs),
            manifest=self._manifest,
            options=self._options,
            host=self._host,
        )
        try:
            yield instance
        finally:
            instance.stop()

    def _tablespaces(self, place: ServerFolder, *, programs: ServerPrograms) -> list[TablespaceFolder]:
        """Beside the data, in the same scratch folder: nothing of it touches where they were."""
        stored = stored_tablespaces(self._manifest)
        home = os.path.join(place.folder, "tablespaces")
        if stored:
            os.mkdir(home, 0o700)
            programs.own(home)
        return [TablespaceFolder(oid=one.oid, folder=os.path.join(home, str(one.oid))) for one in stored]

    def _list_walg(self, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        for name in source.names:
            source.deliver(name, PayloadOutput(read=_drain), progress=progress)
        walg = open_walg(self._manifest, options=self._options.walg, account=server_account(), runner=self._host.runner)
        name = "wal-g's list"
        yield Check(name=name, state=PASSED, message=f"{name}: the backup is in its storage")
        missing = missing_wal(self._manifest, program=walg)
        name = "wal-g's archive"
        found = (
            f"not in its storage: {', '.join(missing[:5])}" if missing else "all WAL of the backup is in its storage"
        )
        yield Check(name=name, state=FAILED if missing else PASSED, message=f"{name}: {found}", found=missing)
        name = "files"
        yield Check(
            name=name,
            state=SKIPPED,
            message=f"{name}: the data lies in WAL-G's storage and is read from level 3 on, when it is fetched",
        )

    def _programs(self) -> ServerPrograms:
        major, _identifier, _start = expectations(self._manifest.content)
        return find_server_programs(
            major=major or _OLDEST_KNOWN_MAJOR, runner=self._host.runner, bin_directory=self._options.bin_directory
        )

    def _parent_start(self) -> str | None:
        return expectations(self._chain[-1].manifest.content)[2] if self._chain else None

    def _start(self, scratch: Scratch, *, place: ServerFolder, programs: ServerPrograms) -> OwnServer:
        known = control_settings(place.data_directory, programs=programs, runner=self._host.runner)
        settings = {name: known[label] for label, name in _RECOVERED.items() if known.get(label, "").isdigit()}
        if self._options.preload_libraries:
            settings["shared_preload_libraries"] = ",".join(self._options.preload_libraries)
        server = start(scratch, place=place, programs=programs, settings=settings)
        try:
            server.wait_until(timeout=self._options.start_timeout, clock=self._host.clock, runner=self._host.runner)
        except PostgresServerDied as error:
            said = " ".join(error.details.get("said", ()))
            hint = "Look at another backup; keep the scratch copy (keep_scratch) to see its log."
            if "resource manager with ID" in said:
                hint = "Set preload_libraries to the library whose WAL this is, such as the storage engine's."
            raise ScratchFailed(
                f"The restored cluster did not start: {said or error.message}", hint=hint, details=error.details
            ) from error
        return server


def _drain(stream: t.BinaryIO) -> None:
    while stream.read(1024 * 1024):
        pass
