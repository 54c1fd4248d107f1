# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BASE_BACKUP over a replication connection: archives that are taken one after the other, as the server sends them.

The server sends all archives in one stream, and a payload is taken by whoever compresses and stores it. So the
connection is read in a thread of its own, which writes straight into the payload that is being taken and waits between
two of them: nothing is kept in memory or on disk but the manifest.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import typing as t
from dataclasses import dataclass

from ..core.errors import LifeboatError, PostgresStreamIncomplete
from ..core.parallel import wait_for
from ..core.signals import undisturbed
from ..pipeline.processes import in_thread
from .base_backup_archives import DataFolderTar, TablespaceTar
from .base_backup_messages import BaseBackupMessages
from .session import Session, psycopg2_module, session_error

DATA_FOLDER_ARCHIVE = "base.tar"
_MANIFEST_NAME = "backup_manifest"
_TABLESPACE_ARCHIVE = re.compile(r"[0-9]+\.tar")
_TURN_SECONDS = 0.1
_END_SECONDS = 60.0
_READ_SIZE = 65536


@dataclass(frozen=True)
class Archive:
    """One archive: *name* is ``base.tar`` or ``OID.tar``, *location* the tablespace's folder on the server."""

    name: str
    location: str

    @property
    def oid(self) -> int:
        """The tablespace, 0 for the data folder."""
        return 0 if self.name == DATA_FOLDER_ARCHIVE else int(self.name.partition(".")[0])


class _Ended(Exception):
    """The stream is no longer wanted; raised in the thread that reads it."""


@t.final
class BaseBackupStream:
    """One base backup being sent. Use it in a ``with`` block: leaving it ends the connection and the thread.

    *command* is the BASE_BACKUP command; *parent_manifest*, when given, is uploaded before it. What the server sends as
    manifest goes into the file *manifest*. Call :meth:`next_archive` and :meth:`write_archive` in turns.
    """

    def __init__(
        self, *, session: Session, command: str, manifest: t.IO[bytes], parent_manifest: str | None = None
    ) -> None:
        self.label = b""
        self._session = session
        self._command = command
        self._manifest = manifest
        self._parent_manifest = parent_manifest
        self._turn = threading.Condition()
        self._next: Archive | None = None  # announced, and nobody takes it yet
        self._output: t.BinaryIO | None = None  # of whoever takes the present one
        self._tar: TablespaceTar | DataFolderTar | None = None
        self._in_manifest = False
        self._is_over = False
        self._is_cancelled = False
        self._error: BaseException | None = None
        # A descriptor of our own: it can be shut while the library waits for the server in another thread.
        self._socket = socket.socket(fileno=os.dup(session.connection.fileno()))
        self._thread = in_thread(self._run, name="base backup")

    def __enter__(self) -> BaseBackupStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with undisturbed():
            with self._turn:
                self._is_cancelled = True
                self._turn.notify_all()
            if not self._is_over:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            wait_for([self._thread], timeout=_END_SECONDS)
            self._socket.close()

    def next_archive(self) -> Archive | None:
        """Wait for the next one; None when the backup was sent whole. Raises what the server or the stream refused."""
        self._wait(lambda: self._next is not None or self._is_over)
        if self._error is not None:
            raise self._error
        return self._next

    def write_archive(self, output: t.BinaryIO) -> None:
        """Let the archive of :meth:`next_archive` be written to *output*; returns when all of it was.

        Raises what kept the stream from coming to its end, and what writing to *output* raised.
        """
        with self._turn:
            self._next = None
            self._output = output
            self._turn.notify_all()
        self._wait(lambda: self._output is None or self._is_over)
        if self._error is not None:
            raise self._error

    def _wait(self, done: t.Callable[[], bool]) -> None:
        while True:
            # A signal is obeyed between two looks, never in the middle of a lock.
            with undisturbed(), self._turn:
                if done():
                    return
                self._turn.wait(_TURN_SECONDS)

    # --- in the thread that reads the connection ----------------------------------------------------------------------

    def _run(self) -> None:
        problem: BaseException | None = None
        try:
            self._copy()
        except BaseException as error:  # noqa: BLE001 it is raised to whoever waits for the stream
            problem = error
        with contextlib.suppress(Exception), undisturbed():
            self._session.close()
        with self._turn:
            self._error = None if isinstance(problem, _Ended) and self._is_cancelled else problem
            self._is_over = True
            self._output = None
            self._turn.notify_all()

    def _copy(self) -> None:
        psycopg2 = psycopg2_module()
        messages = BaseBackupMessages(self)
        try:
            with self._session.connection.cursor() as cursor:
                if self._parent_manifest is not None:
                    with open(self._parent_manifest, "rb") as parent:
                        cursor.copy_expert("UPLOAD_MANIFEST", parent, _READ_SIZE)
                try:
                    cursor.copy_expert(self._command, messages)
                finally:
                    self._fetch_notices(cursor)
        except psycopg2.Error as error:
            # What the thread itself raised comes out as it is; the library's own words are the server's.
            raise session_error(error, address=self._session.address) from error
        messages.finish()
        # Only now: what the server thinks of the whole (damaged pages) comes behind the last byte.
        self._manifest.flush()
        if not isinstance(self._tar, DataFolderTar):
            raise _out_of_order("the data folder is not the last archive")
        self._tar.finish_with(name=_MANIFEST_NAME, manifest=self._manifest)
        self.label = self._tar.label
        self._release()

    def _fetch_notices(self, cursor: t.Any) -> None:
        """psycopg2 hands out what the server said during a COPY only with the next command."""
        if self._session.connection.closed or self._is_cancelled:
            return
        with contextlib.suppress(psycopg2_module().Error):
            cursor.execute("IDENTIFY_SYSTEM")

    def archive(self, name: str, location: str) -> None:
        """See :class:`base_backup_messages.BaseBackupParts`."""
        if name != DATA_FOLDER_ARCHIVE and (_TABLESPACE_ARCHIVE.fullmatch(name) is None or not location):
            raise _out_of_order(f"an archive is called {name!r}")
        if isinstance(self._tar, DataFolderTar):
            raise _out_of_order(f"{name} comes behind the data folder")
        if self._tar is not None:
            self._tar.finish()
            self._release()
        with self._turn:
            self._next = Archive(name=name, location=location)
            self._turn.notify_all()
        self._wait(lambda: self._output is not None or self._is_cancelled)
        if self._output is None or self._is_cancelled:
            raise _Ended
        self._tar = DataFolderTar(self._output) if name == DATA_FOLDER_ARCHIVE else TablespaceTar(self._output)

    def data(self, piece: memoryview) -> None:
        """See :class:`base_backup_messages.BaseBackupParts`."""
        if self._is_cancelled:
            raise _Ended
        if self._in_manifest:
            self._manifest.write(piece)
        elif self._tar is not None:
            self._tar.write(piece)

    def manifest(self) -> None:
        """See :class:`base_backup_messages.BaseBackupParts`."""
        self._in_manifest = True

    def _release(self) -> None:
        """The present archive is whole: whoever takes it may go on."""
        with self._turn:
            self._output = None
            self._turn.notify_all()


def _out_of_order(why: str) -> LifeboatError:
    return PostgresStreamIncomplete(
        f"The server sent a base backup in an order that PostgreSQL does not have: {why}.",
        hint="Start the backup again; if it happens again, report it with the server's version.",
        details={"reason": why},
    )
