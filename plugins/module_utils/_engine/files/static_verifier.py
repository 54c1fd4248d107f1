# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of the kind static through the levels: what they say of earlier backups is held against those."""

from __future__ import annotations

import hashlib
import typing as t

from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, PASSED, Check
from ..recovery.verifier import VerifierContext
from .entry import Entry
from .listing import read_listing
from .names import order, shown
from .packing import kept_name
from .parts import OWN, FetchedList, Parts, fetched_list, needed_parts
from .remembered import LIST_HASH
from .restore_notes import FILES_PAYLOAD, KEPT_PAYLOAD
from .selection import Selection
from .static_options import STATIC
from .unpacking import Unpacker
from .unpacking_parts import unpack_parts
from .verifier import FilesVerifier, Tally, TarTally, compared, tally
from .verifier_options import FilesVerifierOptions

_NAMED = 5
_PIECE = 1024 * 1024


class StaticVerifier(FilesVerifier):
    """See :class:`recovery.verifier.Verifier`."""

    def __init__(self, *, options: FilesVerifierOptions, context: VerifierContext) -> None:
        super().__init__(kind=STATIC, options=options, context=context)
        self._chain = context.chain
        self._content = context.manifest.content

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """See Verifier. Raises ChainBroken, FilesArchiveInvalid and HostileArchive."""
        noted = Tally(entries=self._noted.entries, fingerprint=self._noted.fingerprint)
        parent = self._content.get("parent") or {}
        with fetched_list(source, progress=progress) as listed:
            yield from compared("list", tally(listed.entries()), expected=noted)
            yield _same("hash of the list", expected=self._content.get(LIST_HASH), found=listed.sha256())
            packed = TarTally()
            source.deliver(FILES_PAYLOAD, PayloadOutput(read=packed.read), progress=progress)
            yield from compared("tar", packed.tally, expected=tally(listed.lying_in(OWN)))
            needed = needed_parts(listed.entries()) - {OWN}
            yield _same("chain", expected=list(parent.get("chain") or ()), found=sorted(needed))
            if parent:
                yield _same("names of kept files", expected=_names_hash(listed), found=_hash_of(source, progress))
            for backup_id, part in Parts(source, self._chain).of(needed):
                yield _kept(backup_id, listed.lying_in(backup_id), part, progress)

    def _unpack(self, unpacker: Unpacker, source: PayloadSource, progress: Progress) -> None:
        with fetched_list(source, progress=progress) as listed:
            unpack_parts(unpacker, Parts(source, self._chain), listed, selection=Selection(), progress=progress)


def _kept(backup_id: str, wanted: t.Iterator[Entry], part: PayloadSource, progress: Progress) -> Check:
    """Whether that backup lists those files, in its own tar, as they are listed here."""
    counted = 0
    wrong: list[str] = []

    def take(theirs: t.Iterator[Entry]) -> None:
        nonlocal counted
        other = next(theirs, None)
        for entry in wanted:
            counted += 1
            while other is not None and order(other.path) < order(entry.path):
                other = next(theirs, None)
            if (
                other is None
                or other.backup != OWN
                or (other.identity, other.modified)
                != (
                    entry.identity,
                    entry.modified,
                )
            ):
                wrong.append(f"/{shown(entry.path)}")
        for _rest in theirs:
            pass

    read_listing(part, take, progress=progress)
    told = f"{backup_id} in {part.repository} lists {counted - len(wrong)} of the {counted} files that lie there"
    return Check(
        name=f"files in {backup_id}",
        state=FAILED if wrong else PASSED,
        message=f"{told}, and not {', '.join(wrong[:_NAMED])}" if wrong else told,
        expected=counted,
        found=counted - len(wrong),
    )


def _same(name: str, *, expected: t.Any, found: t.Any) -> Check:
    same = expected == found
    message = f"the {name} is as noted" if same else f"the {name} is not what was noted"
    return Check(name=name, state=PASSED if same else FAILED, message=message, expected=expected, found=found)


def _names_hash(listed: FetchedList) -> str:
    digest = hashlib.sha256()
    for entry in listed.entries():
        if entry.backup != OWN:
            digest.update(kept_name(entry))
    return digest.hexdigest()


def _hash_of(source: PayloadSource, progress: Progress) -> str:
    digest = hashlib.sha256()

    def read(stream: t.BinaryIO) -> None:
        while True:
            piece = stream.read(_PIECE)
            if not piece:
                return
            digest.update(piece)

    source.deliver(KEPT_PAYLOAD, PayloadOutput(read=read), progress=progress)
    return digest.hexdigest()
