# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots (RDB) and append-only files (AOF) of a Redis or Valkey server."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import replace

from ..core.checksums import CRC64_REDIS, crc_function
from ..core.clock import Clock
from ..core.errors import RedisFilesUnreachable
from ..core.journal import Journal
from ..core.progress import Progress
from ..core.runner import Runner
from ..pipeline.producer import Inspection, PayloadInput, PayloadSink, Production
from . import aof
from .aof_check import AofFacts
from .aof_set import AofSet
from .bgsave import BackgroundSave
from .content import aof_content, rdb_content
from .digest import SourceDigest
from .facts import ServerFacts, read_facts
from .info import Keyspace, read_info
from .local_files import DataFolder, data_folder, identity_of, refuse_unreadable
from .options import RedisSnapshotOptions
from .rdb import RdbFacts
from .refusals import refuse_unfit, warnings_about
from .resp import RespClient
from .restore_notes import AOF_PAYLOAD, RDB_PAYLOAD, aof_restore_commands, rdb_restore_commands
from .saved_file import open_saved_file, rdb_path
from .sync_stream import SyncStream

RDB_MEDIA = "redis rdb"
AOF_MEDIA = "redis append-only files in a tar"


class RedisSnapshotProducer:
    """One server's data set: as one RDB (kind ``rdb``), or as its append-only files of one moment (kind ``aof``)."""

    engine = "redis"

    def __init__(self, *, options: RedisSnapshotOptions, runner: Runner, clock: Clock, journal: Journal) -> None:
        self.kind = options.kind
        self._options = options
        self._runner = runner
        self._clock = clock
        self._journal = journal

    def inspect(self) -> Inspection:
        """Connect, read the facts, refuse what can't become a good backup, choose the way.

        Raises the errors of the connection, RedisLoading, RedisReplicaIncomplete, RedisClusterNode,
        RedisFilesUnreachable, RedisAppendOnlyOff and AofInvalid.
        """
        crc_function(CRC64_REDIS)  # a missing library is said now, not when the snapshot is there
        with contextlib.closing(self._open()) as client:
            facts = self._facts(client)
            if self.kind == "aof":
                return self._inspect_aof(client, facts)
            return self._inspect_rdb(client, facts)

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make the backup.

        Raises what inspect() raises, RedisSaveFailed, RedisSaveTimedOut, RedisRestarted, RedisSyncFailed, RdbInvalid,
        AofInvalid and AofUnstable.
        """
        with contextlib.closing(self._open()) as client:
            facts = self._facts(client)
            warnings = warnings_about(facts, address=self._address)
            for warning in warnings:
                self._journal.warning(warning)
            produce = self._produce_aof if self.kind == "aof" else self._produce_rdb
            if not self._options.record_digest:
                return produce(client, facts, sink=sink, progress=progress, warnings=warnings)
            return self._with_digest(
                lambda: produce(client, facts, sink=sink, progress=progress, warnings=warnings), progress=progress
            )

    # --- rdb ---------------------------------------------------------------------------------------------------------

    def _inspect_rdb(self, client: RespClient, facts: ServerFacts) -> Inspection:
        folder = self._folder(client, facts)
        # The memory in use is more than a snapshot will have; it is a guess where no earlier one can be seen.
        expected = facts.used_memory
        if folder is None:
            method = "sync"
            steps: tuple[str, ...] = (
                f"ask {self._address} for a snapshot over the wire and copy it as {RDB_PAYLOAD}, checking it",
            )
        else:
            method = "bgsave"
            last = identity_of(rdb_path(facts, folder))
            expected = expected if last is None else last.size
            steps = (
                f"BGSAVE on {self._address}, and wait for the proof that a new file was written",
                f"check that file and copy it as {RDB_PAYLOAD}",
            )
        return Inspection(facts={**facts.as_dict(), "method": method}, steps=steps, expected_bytes=expected)

    def _produce_rdb(
        self, client: RespClient, facts: ServerFacts, *, sink: PayloadSink, progress: Progress, warnings: list[str]
    ) -> Production:
        folder = self._folder(client, facts)
        method, made = "bgsave", None
        if folder is not None:
            made = self._by_bgsave(client, facts, folder, sink=sink, progress=progress)
        if made is None:
            method, made = "sync", self._by_sync(client, sink=sink, progress=progress)
        rdb, keyspace, exact = made
        if rdb.crc64 is None:
            warnings = [
                *warnings,
                f"{self._address} writes no checksum (rdbchecksum no), so only both ends of the RDB could be checked.",
            ]
            self._journal.warning(warnings[-1])
        content = rdb_content(facts, rdb=rdb, keyspace=keyspace, exact=exact, method=method, warnings=warnings)
        return Production(
            content=content, restore_commands=rdb_restore_commands(facts, rdb=rdb, keyspace=content["keyspace"])
        )

    def _by_bgsave(
        self, client: RespClient, facts: ServerFacts, folder: DataFolder, *, sink: PayloadSink, progress: Progress
    ) -> tuple[RdbFacts, Keyspace, bool] | None:
        """The server's own file; None when it turned out to be elsewhere and another way is allowed."""
        path = rdb_path(facts, folder)
        before = identity_of(path)
        save = BackgroundSave(
            client=client,
            clock=self._clock,
            progress=progress,
            timeout=self._options.timeout,
            run_id=facts.run_id,
        ).run()
        progress.stage("checking the snapshot")
        try:
            descriptor, rdb = open_saved_file(path=path, before=before, save=save, proven=folder.proven)
        except RedisFilesUnreachable as error:
            self._refuse_or_note(error)
            return None
        try:
            progress.stage("copying the snapshot", bytes_expected=rdb.size)
            sink.store(PayloadInput(name=RDB_PAYLOAD, media=RDB_MEDIA, file=descriptor, expected_bytes=rdb.size))
        finally:
            os.close(descriptor)
        return rdb, save.keyspace, True

    def _by_sync(self, client: RespClient, *, sink: PayloadSink, progress: Progress) -> tuple[RdbFacts, Keyspace, bool]:
        stream = SyncStream(client=client, clock=self._clock, progress=progress, timeout=self._options.timeout)
        stream.begin()
        # The stream's connection can't answer any more. The server forked before it sent the first byte.
        with contextlib.closing(self._open()) as second:
            keyspace = read_info(second, "keyspace").keyspace
        found: list[RdbFacts] = []

        def write(output: t.BinaryIO) -> None:
            found.append(stream.copy_to(output))

        sink.store(PayloadInput(name=RDB_PAYLOAD, media=RDB_MEDIA, write=write))
        return found[0], keyspace, False

    def _folder(self, client: RespClient, facts: ServerFacts) -> DataFolder | None:
        """The server's data folder when its file is to be taken; None for the way over the wire."""
        if self._options.method == "sync":
            return None
        try:
            folder = data_folder(client, facts)
            refuse_unreadable(rdb_path(facts, folder))
        except RedisFilesUnreachable as error:
            self._refuse_or_note(error)
            return None
        return folder

    def _refuse_or_note(self, error: RedisFilesUnreachable) -> None:
        if self._options.method == "bgsave":
            raise error
        self._journal.info(f"{error.message} The snapshot is taken over the wire instead.")

    # --- aof ---------------------------------------------------------------------------------------------------------

    def _inspect_aof(self, client: RespClient, facts: ServerFacts) -> Inspection:
        aof.refuse_unreadable_set(facts, data_folder(client, facts))
        steps = (
            f"open the append-only files of {self._address} and note their lengths",
            f"copy them as {AOF_PAYLOAD}, checking every command and checksum on the way",
        )
        return Inspection(facts=facts.as_dict(), steps=steps, expected_bytes=facts.aof_size)

    def _produce_aof(
        self, client: RespClient, facts: ServerFacts, *, sink: PayloadSink, progress: Progress, warnings: list[str]
    ) -> Production:
        progress.stage("opening the append-only files")
        folder = data_folder(client, facts)
        with contextlib.closing(
            aof.freeze(client=client, facts=facts, folder=folder, clock=self._clock, timeout=self._options.timeout)
        ) as files:
            keyspace = read_info(client, "keyspace").keyspace
            progress.stage("copying the append-only files", bytes_expected=files.length)
            checked = _store(files, sink=sink)
            return Production(
                content=aof_content(facts, files=files, checked=checked, keyspace=keyspace, warnings=warnings),
                restore_commands=aof_restore_commands(
                    facts, manifest_name=files.manifest_name, torn=checked[files.files[-1].name].torn
                ),
            )

    # --- both --------------------------------------------------------------------------------------------------------

    def _with_digest(self, produce: t.Callable[[], Production], *, progress: Progress) -> Production:
        digest = SourceDigest(connection=self._options.connection, runner=self._runner, timeout=self._options.timeout)
        progress.stage("asking for the digest")
        digest.before()
        production = produce()
        progress.stage("asking for the digest")
        found = digest.after()
        for warning in digest.warnings:
            self._journal.warning(warning)
        warnings = [*production.content["warnings"], *digest.warnings]
        return replace(production, content={**production.content, "digest": found, "warnings": warnings})

    @property
    def _address(self) -> str:
        return self._options.connection.address

    def _open(self) -> RespClient:
        return self._options.connection.open(runner=self._runner)

    def _facts(self, client: RespClient) -> ServerFacts:
        facts = read_facts(client)
        refuse_unfit(facts, address=self._address, allow_cluster_node=self._options.allow_cluster_node)
        if self.kind == "aof":
            aof.refuse_without_aof(facts)
        return facts


def _store(files: AofSet, *, sink: PayloadSink) -> dict[str, AofFacts]:
    checked: dict[str, AofFacts] = {}

    def write(output: t.BinaryIO) -> None:
        checked.update(files.write_tar(output))

    sink.store(PayloadInput(name=AOF_PAYLOAD, media=AOF_MEDIA, write=write, expected_bytes=files.length))
    return checked
