# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set through the levels: it is as good as its worst member, in each repository and in all.

Level 0: every member is there and is the very backup that the set names. 1: their bytes. 2 to 4: each member at that
level, by what its own source asks for; and the set's own documents say what the manifest says.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Backup
from ..catalog.manifest import Manifest
from ..catalog.set_members import Member, members_of
from ..catalog.verification import CopyResult, Verification
from ..core.errors import SetIncomplete
from ..core.levels import INTACT, PRESENT, READABLE, RESTORED
from ..core.progress import Progress
from ..files.restore_notes import SYSTEM_PAYLOAD
from ..files.tar_reader import TarReader
from ..pipeline.delivery import PayloadOutput
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, PASSED, Check
from ..recovery.verifier import Verifier
from .set_document import SET_PAYLOAD, instead_of
from .verify_run import VerificationRun

Error = t.Mapping[str, t.Any]
_LARGEST_DOCUMENT = 256 * 1024 * 1024


@dataclass(frozen=True)
class MemberProof:
    """What came of one member: the *backup* in its place, None when there is none, and its verification."""

    member: Member
    backup: Backup | None
    verification: Verification | None

    def error_in(self, repository: str) -> tuple[int, Error] | None:
        """How far it came in that repository, and what is wrong with it there; None when nothing is."""
        backup, verification = self.backup, self.verification
        if backup is None or verification is None or repository not in backup.repositories:
            return -1, _missing(self.member, repository).as_dict()
        if backup.manifest.as_dict()["checksum"] != self.member.checksum:
            return -1, _other(self.member, repository).as_dict()
        copy = verification.copies.get(repository)
        if copy is not None and copy.error is not None:
            return copy.reached, {**copy.error, "member": self.member.folder.backup_id}
        if verification.error is not None:
            # Its bytes are right and don't restore: that is so in all copies.
            return verification.reached, {**verification.error, "member": self.member.folder.backup_id}
        return None


class SetVerificationRun(VerificationRun):
    """See :class:`VerificationRun`; *proofs* are those of the members, made before."""

    def run_with(self, proofs: t.Sequence[MemberProof]) -> Verification:
        """Go as far as asked, write the document, return it. Raises as run() does."""
        level = self._request.proof.level
        repositories = self._look_at_copies(level=min(level, INTACT))
        for name in repositories:
            self._copies[name] = self._with_members(name, proofs)
        good = [name for name in repositories if self._copies[name].error is None]
        name = good[0] if good else repositories[0]
        error = self._copies[name].error
        self._checks = [{"level": level, **check.as_dict()} for check in _member_checks(proofs, repositories)]
        self._reached = self._copies[name].reached
        if error is None and level >= READABLE:
            documents: Verifier = t.cast("Verifier", _OwnDocuments(self._manifest))
            error = self._prove(documents, self._sources.payloads(self._manifest, name), level=READABLE)
        if error is None:
            self._reached = level
        self._copies[name] = CopyResult(reached=self._reached, error=error)
        if level >= RESTORED and error is None:
            self._recovery_seconds = _recovery_seconds(proofs)
        document = self._document(name, error)
        self._store(document, repositories)
        return document

    def _with_members(self, name: str, proofs: t.Sequence[MemberProof]) -> CopyResult:
        """The set's copy there, with the worst of what its members came to."""
        own = self._copies[name]
        found = [wrong for wrong in (proof.error_in(name) for proof in proofs) if wrong is not None]
        if own.error is not None or not found:
            return own
        reached, error = min(found, key=lambda wrong: wrong[0])
        return CopyResult(reached=min(own.reached, reached), error={**error, "repository": name})


class _OwnDocuments:
    """What the set itself holds, read to its end: as much of a Verifier as level 2 takes."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def listing(self, *, source: PayloadSource, progress: Progress) -> t.Iterator[Check]:
        """See Verifier. Raises FilesArchiveInvalid and HostileArchive."""
        texts: list[bytes] = []
        output = PayloadOutput(read=lambda stream: texts.append(stream.read(_LARGEST_DOCUMENT)))
        source.deliver(SET_PAYLOAD, output, progress=progress)
        try:
            listed = {one["id"]: one["manifest"]["checksum"] for one in json.loads(texts[0])["members"]}
        except (ValueError, KeyError, TypeError, IndexError):
            listed = {}
        wanted = {one.folder.backup_id: one.checksum for one in members_of(self._manifest)}
        yield Check(
            name=SET_PAYLOAD,
            state=PASSED if listed == wanted else FAILED,
            message=f"{SET_PAYLOAD} has the manifests of {len(listed)} members",
            expected=sorted(wanted),
            found=sorted(listed),
        )
        names: list[str] = []

        def read(stream: t.BinaryIO) -> None:
            TarReader(stream).read(lambda entry, pieces: names.append(entry.path))

        source.deliver(SYSTEM_PAYLOAD, PayloadOutput(read=read), progress=progress)
        yield Check(name="host", state=PASSED, message=f"the description of the host has {len(names)} members")


def _member_checks(proofs: t.Sequence[MemberProof], repositories: t.Sequence[str]) -> t.Iterator[Check]:
    for proof in proofs:
        wrong = [f"{name}: {found[1].get('message')}" for name in repositories if (found := proof.error_in(name))]
        place = f"{proof.member.name} {proof.member.folder.backup_id}"
        reached = proof.verification.reached if proof.verification else PRESENT - 1
        yield Check(
            name=f"member {proof.member.name}",
            state=FAILED if wrong else PASSED,
            message=f"{place}: {'; '.join(wrong)}" if wrong else f"{place} passed level {reached}",
            expected=proof.member.checksum,
            found=str(proof.backup.manifest.as_dict()["checksum"]) if proof.backup else None,
        )


def _recovery_seconds(proofs: t.Sequence[MemberProof]) -> float | None:
    """One after the other, of each source the one that is brought back; None when one was not measured."""
    others = instead_of([proof.member for proof in proofs])
    measured = [
        proof.verification.recovery_seconds if proof.verification else None
        for proof in proofs
        if proof.member.name not in others
    ]
    return None if None in measured else sum(one for one in measured if one is not None)


def _missing(member: Member, repository: str) -> SetIncomplete:
    return SetIncomplete(
        f"The member {member.folder.key('').rstrip('/')} is not in {repository}, so the set is broken there.",
        hint=f"Bring it back from another repository: lifeboat copy --to {repository}. Or take another set.",
        details={"member": member.folder.backup_id, "repository": repository},
    )


def _other(member: Member, repository: str) -> SetIncomplete:
    return SetIncomplete(
        f"The member {member.folder.key('').rstrip('/')} in {repository} is not the backup that the set was made of.",
        hint="Take another set: lifeboat list shows them.",
        details={"member": member.folder.backup_id, "repository": repository},
    )
