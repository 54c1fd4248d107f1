# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tars that the files of one backup lie in: its own, and those of the backups that it builds on."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.errors import ChainBroken, StorageNotFound
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from .entry import FILE, Entry
from .listing import entries
from .packing import hash_from_beginning, listing_file
from .restore_notes import FILES_PAYLOAD, LIST_PAYLOAD

#: What :attr:`entry.Entry.backup` says of what lies in the backup's own tar.
OWN = ""


class Parts:
    """*own* is the backup itself, *chain* what it builds on."""

    def __init__(self, own: PayloadSource, chain: t.Sequence[PayloadSource]) -> None:
        self.own = own
        self._chain = chain

    def of(self, needed: t.Collection[str]) -> list[tuple[str, PayloadSource]]:
        """Those with the ids *needed*, as :attr:`entry.Entry.backup` has them, the backup's own last: other names of
        files are in it, and the files must be there then. Raises ChainBroken.
        """
        found = [(one.manifest.backup_id, one) for one in self._chain if one.manifest.backup_id in needed]
        if OWN in needed:
            found.append((OWN, self.own))
        missing = sorted(set(needed) - {backup_id for backup_id, _source in found})
        if missing:
            raise ChainBroken(
                f"{self.own.manifest.backup_id} builds on {', '.join(missing)}, which it does not say it builds on.",
                hint="Don't restore it; look at who could write to the repository.",
                details={"backup": self.own.manifest.backup_id, "missing": missing},
            )
        return found

    def require(self, needed: t.Collection[str]) -> None:
        """See that what is needed is there and can be decrypted. Raises ChainBroken, and what require_key() raises."""
        for backup_id, source in self.of(needed):
            if backup_id == OWN:
                continue  # who restores looks at it anyway
            try:
                payload = source.payload(FILES_PAYLOAD)
                found = source.storage.stat(source.manifest.folder.key(payload.name))
            except StorageNotFound:
                raise self._broken(source, f"{FILES_PAYLOAD} is missing there") from None
            if found.size != payload.size:
                raise self._broken(source, f"{payload.name} has {found.size} bytes there, not {payload.size}")
            source.require_key()

    def _broken(self, source: PayloadSource, why: str) -> ChainBroken:
        mine, other = self.own.manifest.backup_id, source.manifest.backup_id
        return ChainBroken(
            f"Files of {mine} lie in {other} in {source.repository}, and {why}.",
            hint=f"Bring it back from another repository: lifeboat copy --repair. Without {other} restore paths that "
            "don't need it, or another backup: lifeboat list shows them.",
            details={"backup": mine, "needed": other, "repository": source.repository},
        )


class FetchedList:
    """The list of a backup, here: it can be read more than once."""

    def __init__(self, file: t.BinaryIO) -> None:
        self._file = file

    def entries(self) -> t.Iterator[Entry]:
        """From its beginning; one reader at a time. Raises as :func:`listing.entries`."""
        self._file.seek(0)
        return entries(self._file)

    def sha256(self) -> str:
        """Of its bytes."""
        return hash_from_beginning(self._file)

    def lying_in(self, part: str) -> t.Iterator[Entry]:
        """Those that the tar of *part* has for it: files of an earlier backup, or all that is in its own."""
        for entry in self.entries():
            if entry.backup == part:
                yield entry


@contextlib.contextmanager
def fetched_list(source: PayloadSource, *, progress: Progress) -> t.Iterator[FetchedList]:
    """Fetch and compare it. Raises what delivery raises."""
    with listing_file() as file:
        source.deliver(LIST_PAYLOAD, PayloadOutput(file=file.fileno()), progress=progress)
        yield FetchedList(file)


def needed_parts(listed: t.Iterable[Entry]) -> set[str]:
    """What :meth:`Parts.of` takes, for these entries."""
    return {entry.backup if entry.kind == FILE else OWN for entry in listed}
