# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup whose files lie in several tars into an empty folder: each tar is read once, and only if it is needed."""

from __future__ import annotations

import typing as t

from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from .entry import Entry
from .parts import FetchedList, Parts, needed_parts
from .restore_notes import FILES_PAYLOAD
from .selection import Selection
from .unpacking import Unpacker


def unpack_parts(
    unpacker: Unpacker, parts: Parts, listed: FetchedList, *, selection: Selection, progress: Progress
) -> None:
    """All that *selection* takes of the list, each file compared with it.

    Raises ChainBroken, ContentMismatch, and what delivery and unpacking raise.
    """
    needed = needed_parts(entry for entry in listed.entries() if selection.takes(entry))
    for part, source in parts.of(needed):

        def read(stream: t.BinaryIO, part: str = part) -> None:
            unpacker.unpack_part(stream, _wanted(listed, part, selection))

        source.deliver(FILES_PAYLOAD, PayloadOutput(read=read), progress=progress)


def _wanted(listed: FetchedList, part: str, selection: Selection) -> t.Iterator[Entry]:
    return (entry for entry in listed.lying_in(part) if selection.takes(entry))
