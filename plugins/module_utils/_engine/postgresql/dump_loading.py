# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One dump into one database by pg_restore: streamed, or from a scratch folder where several jobs share the work."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, field

from ..core.errors import PipelineFailed
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from .child import Child, Said
from .clients import ClientProgram
from .dump_folder import find_toc, unpack_dump
from .dump_selection import Selection
from .dump_toc import CUSTOM, DumpToc, read_toc
from .dump_words import LoadWords
from .restore_logical import connection_text
from .scratch import scratch_folder

DIRECTORY_SUFFIX = ".directory.tar"


@dataclass(frozen=True)
class LoadManner:
    """How a dump is loaded. *tolerate* holds parts of error messages that are no reason to give up."""

    owners: bool = True
    privileges: bool = True
    tablespaces: bool = True
    jobs: int = 1
    tolerate: tuple[str, ...] = ()
    scratch_directory: str = ""

    def arguments(self) -> list[str]:
        """As arguments of pg_restore, but for jobs."""
        chosen = (
            ("--no-owner", not self.owners),
            ("--no-privileges", not self.privileges),
            ("--no-tablespaces", not self.tablespaces),
            # With something to tolerate it goes on, and all errors are judged at the end.
            ("--exit-on-error", not self.tolerate),
        )
        return ["--no-password", *(name for name, is_wanted in chosen if is_wanted)]


@dataclass(frozen=True)
class Dump:
    """One database's payload, with what its head says."""

    source: PayloadSource
    payload: str
    toc: DumpToc = field(repr=False)

    @property
    def is_directory(self) -> bool:
        """Whether it is a tar of pg_dump's directory format."""
        return self.toc.format != CUSTOM

    @property
    def plain_size(self) -> int:
        """Bytes of the plain payload; 0 where nobody counted."""
        return self.source.payload(self.payload).plain_size or 0


def open_dump(source: PayloadSource, payload: str, *, progress: Progress) -> Dump:
    """Read the head of a payload; for the directory format, up to its toc.dat. Raises PostgresDumpInvalid."""
    found: list[DumpToc] = []

    def read(file: t.BinaryIO) -> None:
        found.append(find_toc(file) if payload.endswith(DIRECTORY_SUFFIX) else read_toc(file))

    source.deliver(payload, PayloadOutput(read=read, may_end_early=True), progress=progress)
    return Dump(source=source, payload=payload, toc=found[0])


@dataclass(frozen=True)
class Loader:
    """Runs pg_restore. *environment* says where the server is, and who runs this."""

    pg_restore: ClientProgram
    environment: t.Mapping[str, str]
    manner: LoadManner

    def load(self, dump: Dump, selection: Selection, *, database: str, progress: Progress) -> LoadWords:
        """Load the selected entries into *database*.

        Raises what deliver() raises, and PostgresLoadFailed, RestoreNoSpace or PostgresConnectionLost for what
        pg_restore says. What was loaded then is worth nothing.
        """
        words = LoadWords(tolerate=self.manner.tolerate)
        argv = [self.pg_restore.path, *self.manner.arguments(), f"--dbname={connection_text(database)}"]
        try:
            with list_file(selection) as descriptor:
                if dump.is_directory or self.manner.jobs > 1:
                    self._from_folder(dump, argv, descriptor, words, progress=progress)
                else:
                    argv += ["--format=custom", f"--use-list=/dev/fd/{descriptor}"]
                    self._stream(dump, argv, descriptor, words, progress=progress)
        except _Failed:
            # The list of what it said may hold rows and passwords; words.errors does not.
            raise words.failure(database=database) from None
        if words.errors:
            raise words.failure(database=database)
        return words

    def _stream(self, dump: Dump, argv: list[str], descriptor: int, words: LoadWords, *, progress: Progress) -> None:
        output = PayloadOutput(
            argv=tuple(argv),
            environment=self.environment,
            pass_descriptors=(descriptor,),
            on_stderr=words,
            # It stops behind the last entry that it was asked for.
            may_end_early=True,
            check_rest=True,
        )
        try:
            dump.source.deliver(dump.payload, output, progress=progress)
        except PipelineFailed as error:
            if error.details.get("process") != "pg_restore":
                raise
            # Status 1 at the end of a run without --exit-on-error: it counted errors, all of which are tolerable.
            if error.details.get("status") != 1 or words.errors or not words.tolerated:
                raise _Failed from None

    def _from_folder(
        self, dump: Dump, argv: list[str], descriptor: int, words: LoadWords, *, progress: Progress
    ) -> None:
        with scratch_folder(self.manner.scratch_directory) as folder:
            path = spool(dump, folder, progress=progress)
            list_path = os.path.join(folder, "list")
            with open(list_path, "wb") as file:
                file.write(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
            argv += [f"--use-list={list_path}", f"--jobs={self.manner.jobs}", path]
            said = Said(words)
            with Child(argv, environment=self.environment, said=said, output=False) as child:
                status = child.wait()
            if status != 0 and (status != 1 or words.errors or not words.tolerated):
                raise _Failed


class _Failed(Exception):
    """pg_restore failed; the words say why."""


def spool(dump: Dump, folder: str, *, progress: Progress) -> str:
    """The dump as a file or folder below *folder*, whole and compared with its hash; its path."""
    path = os.path.join(folder, "dump")
    if dump.is_directory:
        dump.source.deliver(dump.payload, PayloadOutput(read=lambda file: unpack_dump(file, folder)), progress=progress)
        return path
    with open(path, "xb") as file:
        dump.source.deliver(dump.payload, PayloadOutput(file=file.fileno()), progress=progress)
    return path


@contextlib.contextmanager
def list_file(selection: Selection) -> t.Iterator[int]:
    """The list in memory, under a path that the process inherits: nothing is left on a disk."""
    descriptor = os.memfd_create("list")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(selection.list_file())
        yield descriptor
    finally:
        os.close(descriptor)
