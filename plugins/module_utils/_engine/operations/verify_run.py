# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup through the levels: present, intact, readable, restored, questioned; then the document beside it."""

from __future__ import annotations

import contextlib
import getpass
import typing as t

from ..catalog.catalog import Backup
from ..catalog.layout import RESTORE_NOTES
from ..catalog.verification import CopyResult, Verification, verification_key
from ..core.errors import (
    BackupNotFound,
    BackupRemoved,
    ChainBroken,
    CheckFailed,
    IdentityMissing,
    Interrupted,
    KindNotRunnable,
    LibraryMissing,
    LifeboatError,
    PayloadDamaged,
    RequestInvalid,
    RestoreNoSpace,
    ScratchUnusable,
    SecretUnavailable,
    StateDirectoryUnusable,
    StorageAllFailed,
    StorageError,
    StorageNotFound,
    ToolMissing,
    ToolTooOld,
)
from ..core.ids import new_backup_id
from ..core.journal import RecordingJournal
from ..core.levels import INTACT, PRESENT, QUESTIONED, READABLE, RESTORED
from ..core.progress import Progress, ProgressSink
from ..core.state import SourceLock
from ..core.version import VERSION
from ..recovery.payload_source import PayloadSource
from ..recovery.questions import FAILED, NOTED, Check, Reference
from ..recovery.scratch import free_bytes, scratch_instance
from ..recovery.verifier import Instance, Verifier, VerifierContext
from .choosing import Sources
from .parents import require_links
from .verifier_kinds import verifier_factory
from .verify_values import VerifyRequest

# What says nothing about the backup: somebody must mend it and verify again.
_NOBODY_CAN_TELL = (
    BackupRemoved,
    IdentityMissing,
    Interrupted,
    KindNotRunnable,
    LibraryMissing,
    RequestInvalid,
    RestoreNoSpace,
    ScratchUnusable,
    SecretUnavailable,
    StateDirectoryUnusable,
    ToolMissing,
    ToolTooOld,
)


class VerificationRun:
    """One verification of one backup."""

    def __init__(
        self,
        *,
        backup: Backup,
        request: VerifyRequest,
        sources: Sources,
        previous: t.Sequence[Verification],
        lock: SourceLock,
        show: ProgressSink | None,
    ) -> None:
        self._backup = backup
        self._manifest = backup.manifest
        self._request = request
        self._sources = sources
        self._previous = previous
        self._host = sources.host
        self._progress = Progress(clock=self._host.clock, sink=_sink(lock, show))
        self._started = self._host.clock.now()
        self._id = new_backup_id(now=self._started)
        self._checks: list[dict[str, t.Any]] = []
        self._copies: dict[str, CopyResult] = {}
        self._versions: dict[str, t.Any] = {}
        self._recovery_seconds: float | None = None
        self._reached = -1

    def run(self) -> Verification:
        """Go as far as asked, write the document, return it.

        Raises what says nothing about the backup (a tool that is missing here, a repository that can't be reached, a
        removal by policy): then there is no document. Whatever the backup itself is to blame for is in the document.
        """
        level = self._request.proof.level
        verifier: Verifier | None = None
        missing: BackupNotFound | None = None
        try:
            verifier = self._verifier(level)
        except BackupNotFound as not_found:
            missing = not_found  # part of its chain; a copy that lacks it is to blame, and says so below
        repositories = self._look_at_copies(level=min(level, INTACT))
        good = [name for name in repositories if self._copies[name].error is None]
        name = good[0] if good else repositories[0]
        error = self._copies[name].error
        if error is None and missing is not None:
            raise missing
        self._reached = self._copies[name].reached
        if error is None and verifier is not None:
            error = self._prove(verifier, self._sources.payloads(self._manifest, name), level=level)
            self._copies[name] = CopyResult(reached=self._reached, error=error)
        document = self._document(name, error)
        self._store(document, repositories)
        return document

    def _verifier(self, level: int) -> Verifier | None:
        """Refuses before anything is read what this host can't prove."""
        if level < READABLE:
            return None
        options = self._request.proof.options.get(self._manifest.engine, {})
        factory = verifier_factory(self._manifest.engine, self._manifest.kind)(options)
        chain = self._sources.chain_of(self._manifest)
        verifier = factory(VerifierContext(manifest=self._manifest, host=self._host, chain=chain))
        needs = verifier.inspect(level=level)
        if level >= RESTORED:
            free = free_bytes(self._request.scratch_directory)
            if needs.bytes > free:
                raise RestoreNoSpace(
                    f"{self._request.scratch_directory} has {free} bytes free, and the scratch copy needs about "
                    f"{needs.bytes}.",
                    hint="Free space there, or name another scratch_directory.",
                    details={"free": free, "needed": needs.bytes},
                )
        return verifier

    def _look_at_copies(self, *, level: int) -> list[str]:
        """The repositories that have a copy, each looked at. Raises BackupRemoved when retention took the last away."""
        repositories = []
        removed: BackupRemoved | None = None
        for name in self._sources.storages:
            if name not in self._backup.repositories:
                continue
            try:
                self._copies[name] = self._look_at_copy(name, level=level)
                repositories.append(name)
            except BackupRemoved as error:
                self._host.journal.warning(f"{name} is left out: {error.message}")
                removed = error
        if removed is not None and not repositories:
            raise removed
        return repositories

    def _look_at_copy(self, name: str, *, level: int) -> CopyResult:
        source = self._sources.payloads(self._manifest, name)
        reached = -1
        try:
            self._progress.stage(f"looking at {name}")
            self._present(source)
            require_links(source.storage, self._manifest, repository=name)
            reached = PRESENT
            if level >= INTACT:
                self._progress.stage(f"reading {name}", bytes_expected=self._manifest.stored_bytes)
                for payload in self._manifest.payloads:
                    source.check(payload, progress=self._progress)
                reached = INTACT
        except (ChainBroken, PayloadDamaged, StorageNotFound) as error:
            source.require_there()
            return CopyResult(reached=reached, error={**error.as_dict(), "repository": name})
        return CopyResult(reached=reached)

    def _present(self, source: PayloadSource) -> None:
        for payload in self._manifest.payloads:
            try:
                found = source.storage.stat(self._manifest.folder.key(payload.name))
            except StorageNotFound:
                raise PayloadDamaged(
                    f"{payload.name} is not in {source.repository}.",
                    hint="Restore the copy in another repository, or another backup: lifeboat list shows them.",
                    details={"payload": payload.name},
                ) from None
            if found.size != payload.size:
                raise PayloadDamaged(
                    f"{payload.name} has {found.size} bytes in {source.repository}; the manifest says {payload.size}.",
                    hint="Restore the copy in another repository, or another backup: lifeboat list shows them.",
                    details={"payload": payload.name, "expected": payload.size, "found": found.size},
                )
        source.storage.stat(self._manifest.folder.key(RESTORE_NOTES))

    def _prove(self, verifier: Verifier, source: PayloadSource, *, level: int) -> dict[str, t.Any] | None:
        """Levels 2 to 4 of one copy; the error that ended it, None when all went well."""
        try:
            self._progress.stage("reading through", bytes_expected=self._manifest.plain_bytes or 0)
            self._take(verifier.listing(source=source, progress=self._progress), level=READABLE)
            self._reached = READABLE
            if level >= RESTORED:
                self._restore(verifier, source, level=level)
        except _NOBODY_CAN_TELL:
            raise
        except StorageError as error:
            if not isinstance(error, StorageNotFound):
                raise
            source.require_there()
            return error.as_dict()
        except LifeboatError as error:
            return error.as_dict()
        return None

    def _restore(self, verifier: Verifier, source: PayloadSource, *, level: int) -> None:
        with scratch_instance(
            self._request.scratch_directory,
            memory_limit=self._request.memory_limit,
            journal=self._host.journal,
            keep=self._request.keep_scratch,
        ) as scratch:
            began = self._host.clock.monotonic()
            with verifier.scratch(source=source, scratch=scratch, progress=self._progress) as instance:
                self._recovery_seconds = self._host.clock.monotonic() - began
                self._versions = dict(instance.facts)
                self._reached = RESTORED
                if level >= QUESTIONED:
                    self._progress.stage("questioning")
                    self._take(self._questions(instance), level=QUESTIONED)
                    self._reached = QUESTIONED

    def _questions(self, instance: Instance) -> t.Iterator[Check]:
        yield from instance.compare()
        if self._request.proof.require:
            yield from instance.require(self._request.proof.require)
        for question in self._request.proof.questions:
            yield question.judge(instance.ask(question), references=self._references(question.name))

    def _references(self, question: str) -> dict[str, Reference]:
        references: dict[str, Reference] = {}
        noted = self._manifest.content.get("answers") or {}
        if question in noted:
            references[NOTED] = noted[question]
        for verification in self._previous:
            answer = verification.answer(question)
            if answer is not None:
                references["previous"] = answer
                break
        return references

    def _take(self, checks: t.Iterable[Check], *, level: int) -> None:
        """Note every check, then fail when one did: an operator wants to see them all."""
        failed: list[Check] = []
        for check in checks:
            self._checks.append({"level": level, **check.as_dict()})
            if check.state == FAILED:
                failed.append(check)
        if failed:
            raise CheckFailed(
                f"{len(failed)} of the checks of level {level} failed: "
                + "; ".join(check.message for check in failed[:5]),
                hint=f"All of them: lifeboat show {self._manifest.backup_id} --json. Keep older backups.",
                details={"failed": [check.as_dict() for check in failed]},
            )

    def _document(self, repository: str, error: t.Mapping[str, t.Any] | None) -> Verification:
        journal = self._host.journal
        return Verification(
            verification_id=self._id,
            backup_id=self._manifest.backup_id,
            manifest_checksum=str(self._manifest.as_dict()["checksum"]),
            level=self._request.proof.level,
            reached=self._reached,
            repository=repository,
            copies=self._copies,
            checks=tuple(self._checks),
            error=error,
            started=self._started,
            finished=self._host.clock.now(),
            host=self._host.name,
            user=getpass.getuser(),
            lifeboat_version=VERSION,
            versions=self._versions,
            stages=self._progress.stage_seconds(),
            recovery_seconds=None if self._recovery_seconds is None else round(self._recovery_seconds, 3),
            plain_bytes=self._manifest.restored_bytes,
            warnings=tuple(journal.warnings) if isinstance(journal, RecordingJournal) else (),
        )

    def _store(self, document: Verification, repositories: t.Sequence[str]) -> None:
        """Beside every copy; at least one must take it, or nobody would know.

        Not beside one that retention takes away meanwhile: there it would be all that is left. And a removal that began
        before it was noted did not know of it, one that begins later does: hence the second look.
        """
        key = verification_key(self._manifest.folder, self._id)
        errors: list[LifeboatError] = []
        for name in repositories:
            source = self._sources.payloads(self._manifest, name)
            try:
                source.require_there()
                source.storage.put(key, document.as_bytes())
                source.require_there()
            except (BackupRemoved, StorageError) as error:
                self._host.journal.warning(f"The verification is not noted in {name}: {error.message}")
                errors.append(error)
        if len(errors) == len(repositories):
            if all(isinstance(error, BackupRemoved) for error in errors):
                raise errors[0]
            raise StorageAllFailed(
                f"The verification of {self._manifest.backup_id} could not be noted anywhere: {errors[0].message}",
                hint=errors[0].hint,
                details={"verification": document.as_dict()},
            )


def _sink(lock: SourceLock, show: ProgressSink | None) -> ProgressSink:
    def sink(snapshot: t.Mapping[str, t.Any]) -> None:
        with contextlib.suppress(StateDirectoryUnusable):  # what is proved matters more than being seen
            lock.show(snapshot)
        if show is not None:
            show(snapshot)

    return sink
