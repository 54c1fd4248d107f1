# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a backup as it streams by."""

from __future__ import annotations

import typing as t

from ..core.errors import FilesArchiveInvalid
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from .entry import Entry, entry_from
from .names import order, shown
from .restore_notes import LIST_PAYLOAD
from .tar_reader import plain_path

# A line with every attribute that a file can have.
_LONGEST_LINE = 16 * 1024 * 1024
_ANOTHER = "Restore another backup: lifeboat list shows them."


def read_listing(source: PayloadSource, take: t.Callable[[t.Iterator[Entry]], None], *, progress: Progress) -> None:
    """Give *take* the entries in their order; what it makes of them counts when this returned.

    Raises what delivery raises, FilesArchiveInvalid, and HostileArchive for paths that lead out of the tree.
    """

    def read(stream: t.BinaryIO) -> None:
        take(entries(stream))

    source.deliver(LIST_PAYLOAD, PayloadOutput(read=read), progress=progress)


def entries(stream: t.BinaryIO) -> t.Iterator[Entry]:
    """The entries of a list. Raises FilesArchiveInvalid for what is none or not in its order."""
    last: bytes | None = None
    while True:
        line = stream.readline(_LONGEST_LINE)
        if not line:
            return
        if not line.endswith(b"\n"):
            raise FilesArchiveInvalid("The list of files was cut short.", hint=_ANOTHER)
        entry = entry_from(line)
        place = order(plain_path(entry.path))
        if last is not None and place <= last:
            raise FilesArchiveInvalid(f"The list of files is not in its order at {shown(entry.path)}.", hint=_ANOTHER)
        last = place
        yield entry
