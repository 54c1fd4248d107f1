# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a full dump is proved: read to its end, restored into a mongod of its own, questioned."""

from __future__ import annotations

import contextlib
import typing as t

from ..catalog.manifest import Manifest
from ..core.checksums import CRC64_XZ, crc_function
from ..core.errors import MongoError
from ..core.host import Host
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import Check
from ..recovery.scratch import Scratch
from ..recovery.verifier import VerifierNeeds
from .archive_comparison import compare_archive
from .archive_listing import ListedArchive, list_archive
from .archive_load import load_archive
from .load_values import LoadOptions, LoadReport
from .noted_content import noted_content
from .restore_guide import PAYLOAD
from .restored_dump import USERS_INTO, RestoredDump
from .scratch_server import require_alive, require_mongod, require_pymongo, scratch_server
from .verifier_options import MongoVerifierOptions

# Of an empty mongod: journal files are made in advance.
_EMPTY_SERVER_BYTES = 400 * 1024 * 1024


class MongoFullVerifier:
    """Proves one full dump. *manifest* is the backup's."""

    engine = "mongodb"
    kind = "full"

    def __init__(self, *, options: MongoVerifierOptions, manifest: Manifest, host: Host) -> None:
        self._options = options
        self._manifest = manifest
        self._host = host
        self._listed: ListedArchive | None = None
        self._mongod = ""  # its version, once asked

    def inspect(self, *, level: int) -> VerifierNeeds:
        """Whether it can be done here. Raises LibraryMissing, ToolMissing, ToolTooOld and ManifestInvalid."""
        noted = noted_content(self._manifest)
        if level < 2:
            return VerifierNeeds(bytes=0)
        crc_function(CRC64_XZ)
        require_pymongo()
        if level < 3:
            return VerifierNeeds(bytes=0)
        version = self._require_mongod()
        plain = self._manifest.plain_bytes or 4 * self._manifest.stored_bytes
        # On disk documents are compressed again; indexes and the journal take about what that saves.
        return VerifierNeeds(
            bytes=_EMPTY_SERVER_BYTES + plain,
            facts={"mongod": version, "dumped_from": noted.server_version},
        )

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """Level 2: the archive to its end, held against the manifest.

        Raises MongoArchiveInvalid, ContentMismatch, ManifestInvalid, and what delivering raises.
        """
        noted = noted_content(self._manifest)
        listed = self._list(source, progress=progress)
        yield from compare_archive(listed, noted, backup_id=self._manifest.backup_id)

    @contextlib.contextmanager
    def scratch(self, *, source: PayloadSource, scratch: Scratch, progress: Progress) -> t.Iterator[RestoredDump]:
        """Level 3: load it into a mongod of its own, by the restorer's loader.

        Raises MongoArchiveInvalid, MongoLoadFailed, ScratchFailed and what delivering raises.
        """
        noted = noted_content(self._manifest)
        version = self._mongod or self._require_mongod()
        listed = self._listed or self._list(source, progress=progress)
        progress.stage("starting")
        with scratch_server(
            scratch,
            program=self._options.mongod,
            version=version,
            cache_megabytes=self._options.cache(memory_limit=scratch.memory_limit),
            clock=self._host.clock,
        ) as client:
            progress.stage("fetching and loading", bytes_expected=self._manifest.plain_bytes or 0)
            options = LoadOptions(threads=self._options.parallel, users_into=USERS_INTO)
            reports: list[LoadReport] = []

            def load(stream: t.BinaryIO) -> None:
                reports.append(load_archive(stream, client=client, options=options, progress=progress))

            try:
                source.deliver(PAYLOAD, PayloadOutput(read=load), progress=progress)
            except MongoError:
                # What a server that died left undone says nothing about the backup.
                require_alive(client, scratch=scratch)
                raise
            yield RestoredDump(
                client=client,
                noted=noted,
                archive=listed,
                report=reports[-1],
                versions={"mongod": version, "dumped_from": noted.server_version},
            )

    def _require_mongod(self) -> str:
        noted = noted_content(self._manifest)
        self._mongod = require_mongod(
            self._options.mongod,
            runner=self._host.runner,
            compatibility=noted.feature_compatibility,
            server_version=noted.server_version,
        )
        return self._mongod

    def _list(self, source: PayloadSource, *, progress: Progress) -> ListedArchive:
        found: list[ListedArchive] = []
        source.deliver(
            PAYLOAD, PayloadOutput(read=lambda stream: found.append(list_archive(stream))), progress=progress
        )
        self._listed = found[-1]
        return self._listed
