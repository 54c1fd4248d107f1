# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A base backup on its way from pg_basebackup to the sink, its last member taken out in passing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from ..core.errors import PostgresStreamIncomplete
from .backup_notes import BackupNotes
from .child import Child
from .messages import Address
from .tar_tap import TarTap

_CHUNK = 1024 * 1024
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ has a name from Python 3.10 on
_MANIFEST = "backup_manifest"


def relay_base_backup(
    argv: t.Sequence[str],
    *,
    environment: t.Mapping[str, str],
    notes: BackupNotes,
    address: Address,
    output: t.BinaryIO,
    manifest: t.BinaryIO,
) -> None:
    """Run pg_basebackup, pass its stream on to *output* and copy the backup manifest in it to *manifest*.

    Raises the named error of what pg_basebackup says when it fails, and PostgresStreamIncomplete when the stream holds
    no whole manifest although it ended well.
    """
    tap = TarTap(wanted=_MANIFEST, target=manifest)
    with Child(argv, environment=environment, said=notes, output=True) as child:
        source = child.process.stdout
        if source is None:
            raise PostgresStreamIncomplete("pg_basebackup was started without a stream.")
        # A larger pipe means fewer switches between the processes; the default of 64 KiB works too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(source.fileno(), _F_SETPIPE_SZ, _CHUNK)
        broken = _pass_on(source.fileno(), output=output, tap=tap)
        child.finish(address=address)
    if broken is not None or not tap.is_whole:
        raise PostgresStreamIncomplete(
            f"The stream of the base backup is not whole: {broken or 'it holds no complete backup_manifest'}.",
            hint="Start the backup again; if it happens again, run pg_verifybackup on a backup made by hand.",
            details={"members": tap.members},
        )


def _pass_on(source: int, *, output: t.BinaryIO, tap: TarTap) -> str | None:
    """Copy everything; None, or why the stream could not be followed."""
    broken = None
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    while True:
        count = os.readv(source, [buffer])
        if count == 0:
            return broken
        if broken is None:
            try:
                tap.feed(view[:count])
            except ValueError as error:
                # What the program has to say about it comes with its exit status.
                broken = str(error)
        written = 0
        while written < count:
            written += output.write(view[written:count])
