# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of files through the levels: read to their end, unpacked, and every file held against the list."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import replace

from ..core.errors import ContentMismatch, QuestionFailed
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, PASSED, Answer, Check, Question
from ..recovery.scratch import Scratch
from ..recovery.verifier import Instance, VerifierContext, VerifierNeeds
from .comparing import SAME, Difference, Rules, differences
from .entry import FILE, Entry, TreeDigest
from .listing import read_listing
from .names import shown
from .noted import Noted, noted_in
from .patterns import Patterns
from .placing import Refusals, hashed
from .restore_notes import FILES_PAYLOAD, SYSTEM_PAYLOAD
from .selection import Selection
from .tar_reader import Pieces, TarReader
from .unpacking import Unpacker
from .verifier_options import FilesVerifierOptions
from .walk import WalkNotes, walk

# A block for each entry, and what folders take.
_ENTRY_BYTES = 4096
_NAMED = 20


class FilesVerifier:
    """See :class:`recovery.verifier.Verifier`."""

    engine = "files"

    def __init__(self, *, kind: str, options: FilesVerifierOptions, context: VerifierContext) -> None:
        self.kind = kind
        self._options = options
        self._noted = noted_in(context.manifest)

    def inspect(self, *, level: int) -> VerifierNeeds:
        """See Verifier."""
        needed = self._noted.bytes + _ENTRY_BYTES * self._noted.entries if level > 2 else 0
        return VerifierNeeds(bytes=needed)

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """See Verifier. Raises FilesArchiveInvalid and HostileArchive."""
        noted = Tally(entries=self._noted.entries, fingerprint=self._noted.fingerprint)
        listed: list[Tally] = []
        read_listing(source, lambda entries: listed.append(tally(entries)), progress=progress)
        yield from compared("list", listed[0], expected=noted)
        packed = TarTally()
        source.deliver(FILES_PAYLOAD, PayloadOutput(read=packed.read), progress=progress)
        yield from compared("tar", packed.tally, expected=noted)
        yield from self._host(source, progress)

    def _host(self, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        if self._noted.has_system:
            members: list[str] = []

            def read(stream: t.BinaryIO) -> None:
                TarReader(stream).read(lambda entry, pieces: members.append(entry.path))

            source.deliver(SYSTEM_PAYLOAD, PayloadOutput(read=read), progress=progress)
            yield Check(name="host", state=PASSED, message=f"the description of the host has {len(members)} members")

    @contextlib.contextmanager
    def scratch(self, *, source: PayloadSource, scratch: Scratch, progress: Progress) -> t.Iterator[Instance]:
        """See Verifier. Raises ContentMismatch when a file that came out is not the list's."""
        progress.stage("fetching and loading")
        folder = scratch.path("tree")
        os.mkdir(folder, 0o700)  # what is private on its host stays private here
        is_root = os.geteuid() == 0
        unpacker = Unpacker(folder, selection=Selection(), owners=is_root)
        self._unpack(unpacker, source, progress)
        progress.stage("comparing every file")
        wrong: list[Difference] = []
        rules = Rules(owners=is_root, extended=not unpacker.refusals.extended, times=self._options.compare_times)

        def take(listed: t.Iterator[Entry]) -> None:
            there = walk(self._noted.roots, exclude=Patterns(()), notes=WalkNotes(), base=folder)
            found = differences(listed, there, selection=Selection(), rules=rules)
            wrong.extend(one for one in found if one.change != SAME)

        read_listing(source, take, progress=progress)
        if wrong:
            named = [f"/{shown(one.path)} ({', '.join(one.what) or one.change})" for one in wrong[:_NAMED]]
            raise ContentMismatch(
                f"{len(wrong)} of what was unpacked is not as the list says: {', '.join(named)}.",
                hint="Restore another backup: lifeboat list shows them.",
                details={"paths": named},
            )
        yield UnpackedFiles(folder, self._noted, unpacker.refusals)

    def _unpack(self, unpacker: Unpacker, source: PayloadSource, progress: Progress) -> None:
        source.deliver(FILES_PAYLOAD, PayloadOutput(read=unpacker.unpack), progress=progress)


class UnpackedFiles:
    """See :class:`recovery.verifier.Instance`."""

    def __init__(self, folder: str, noted: Noted, refusals: Refusals) -> None:
        self._folder = folder
        self._noted = noted
        self._refusals = refusals

    @property
    def facts(self) -> t.Mapping[str, t.Any]:
        """What could not be given back here, and so was not compared."""
        return {"left_out": self._refusals.warnings()}

    def compare(self) -> t.Iterator[Check]:
        """The number of entries of each kind against those that were counted at backup time."""
        counts: dict[str, int] = {}
        seen: set[tuple[int, int]] = set()
        for found in walk(self._noted.roots, exclude=Patterns(()), notes=WalkNotes(), base=self._folder):
            kind = found.kind
            if kind == FILE and found.status.st_nlink > 1:
                file = (found.status.st_dev, found.status.st_ino)
                kind = "hard link" if file in seen else FILE
                seen.add(file)
            counts[kind] = counts.get(kind, 0) + 1
        state = PASSED if counts == dict(self._noted.counts) else FAILED
        told = ", ".join(f"{count} of {kind}" for kind, count in sorted(counts.items()))
        yield Check(
            name="counts",
            state=state,
            message=f"there are {told}",
            expected=dict(self._noted.counts),
            found=counts,
        )

    def require(self, names: t.Sequence[str]) -> t.Iterator[Check]:
        """Each path that must be there."""
        for name in names:
            path = os.path.join(self._folder, os.path.normpath(name).lstrip("/"))
            is_there = os.path.lexists(path)
            message = f"{name} is there" if is_there else f"{name} is not in the backup"
            yield Check(name=f"path {name}", state=PASSED if is_there else FAILED, message=message)

    def ask(self, question: Question) -> Answer:
        """Files answer no questions."""
        raise QuestionFailed(
            f"{question.name}: files can't be asked by {question.way}.",
            hint="Name paths that must be there: verify.require_paths.",
        )


class Tally(t.NamedTuple):
    """What was counted of a list or a tar."""

    entries: int
    fingerprint: str


def tally(listed: t.Iterable[Entry]) -> Tally:
    """Of entries of a list."""
    digest, count = TreeDigest(), 0
    for entry in listed:
        digest.add(entry)
        count += 1
    return Tally(entries=count, fingerprint=digest.hexdigest())


class TarTally:
    """The same of a tar, in which a file that changed while it was read comes again: the last one counts."""

    def __init__(self) -> None:
        self._digest = TreeDigest()
        self._count = 0
        self._pending: Entry | None = None

    def read(self, stream: t.BinaryIO) -> None:
        """To its end. Raises FilesArchiveInvalid and HostileArchive."""
        TarReader(stream).read(self._take)
        self._settle()

    @property
    def tally(self) -> Tally:
        """Of what was read."""
        return Tally(entries=self._count, fingerprint=self._digest.hexdigest())

    def _take(self, entry: Entry, pieces: Pieces) -> None:
        if entry.kind == FILE:
            entry = replace(entry, sha256=hashed(entry, pieces))
        if self._pending is not None and self._pending.path != entry.path:
            self._settle()
        self._pending = entry

    def _settle(self) -> None:
        if self._pending is not None:
            self._digest.add(self._pending)
            self._count += 1
            self._pending = None


def compared(what: str, found: Tally, *, expected: Tally) -> t.Iterator[Check]:
    """Whether it is what it should be."""
    same = found.entries == expected.entries
    yield Check(
        name=f"entries of the {what}",
        state=PASSED if same else FAILED,
        message=f"the {what} has {found.entries} entries" + ("" if same else f", and {expected.entries} were noted"),
        expected=expected.entries,
        found=found.entries,
    )
    same = found.fingerprint == expected.fingerprint
    yield Check(
        name=f"fingerprint of the {what}",
        state=PASSED if same else FAILED,
        message=f"the {what} is {'the tree' if same else 'not the tree'} that was noted",
        expected=expected.fingerprint,
        found=found.fingerprint,
    )
