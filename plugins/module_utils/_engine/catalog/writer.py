# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup on its way into all repositories of its job at once: payloads first, manifest last.

Order of writes in each repository, which is the promise behind everything else: ``started.json``, the payloads,
``RESTORE.md``, ``manifest.json``. Whatever dies in between leaves a folder without a manifest, which no list shows
as a backup and which the next run of the same source removes (:mod:`leftovers`).
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ..core.errors import (
    LifeboatError,
    ManifestInvalid,
    StorageAllFailed,
    StorageExists,
    StorageForbidden,
    StorageNotFound,
)
from ..core.journal import Journal
from ..core.parallel import at_the_same_time
from ..core.progress import Progress
from ..core.signals import undisturbed
from ..pipeline.producer import PayloadInput, StoredPayload
from ..pipeline.stream import stream
from ..pipeline.transforms import Compression, Encryption, Transforms
from ..storage.base import ObjectWriter, Storage
from .copies import require_copy
from .kept_reasons import kept_reasons
from .layout import MANIFEST, RESTORE_NOTES, STARTED, BackupFolder, parse_key
from .manifest import Manifest, parse_manifest


@dataclass
class RepositoryState:
    """One repository of the job, and what became of it in this run."""

    name: str
    storage: Storage
    error: LifeboatError | None = None
    written: list[str] = field(default_factory=list)  # keys of this run, in order, whether or not each was stored
    manifest_tried: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values: name, url, state (complete or failed) and the error."""
        return {
            "name": self.name,
            "url": self.storage.properties.url,
            "state": "failed" if self.error else "complete",
            "error": self.error.as_dict() if self.error else None,
        }


class BackupWriter:
    """A PayloadSink for one backup. A repository that fails is dropped with its error; the others go on."""

    def __init__(
        self,
        *,
        folder: BackupFolder,
        repositories: t.Sequence[RepositoryState],
        transforms: Transforms,
        progress: Progress,
        journal: Journal,
    ) -> None:
        self.payloads: list[StoredPayload] = []
        self._folder = folder
        self._repositories = repositories
        self._transforms = transforms
        self._progress = progress
        self._journal = journal

    @property
    def working(self) -> list[RepositoryState]:
        """The repositories that have not failed."""
        return [repository for repository in self._repositories if repository.error is None]

    def begin(self, document: t.Mapping[str, t.Any]) -> None:
        """Say in each repository that a backup is being made here, and by whom."""
        self._put_everywhere(STARTED, _json(document))

    def store(self, payload: PayloadInput) -> StoredPayload:
        """See :class:`pipeline.producer.PayloadSink`."""
        transforms = self._transforms.for_payload(compressed=payload.compressed)
        name = payload.name + "".join(transform.suffix for transform in transforms)
        fan_out = _FanOut(key=self._folder.key(name), drop=self._drop)
        try:
            for repository in self.working:
                fan_out.open(repository, expected_bytes=payload.expected_bytes or None)
            fan_out.require()
            plain_size = stream(payload, transforms=transforms, consume=fan_out.write, progress=self._progress)
            fan_out.commit()
        except BaseException:
            fan_out.abort()
            raise
        applied = {transform.name for transform in transforms}
        stored = StoredPayload(
            name=name,
            media=payload.media,
            size=fan_out.size,
            sha256=fan_out.hash.hexdigest(),
            plain_size=plain_size,
            compression=Compression.name if Compression.name in applied else None,
            encryption=Encryption.name if Encryption.name in applied else None,
        )
        self.payloads.append(stored)
        return stored

    def leave_out(self, repository: str, error: LifeboatError) -> None:
        """See :class:`pipeline.producer.SelectiveSink`."""
        for state in self.working:
            if state.name == repository:
                self._drop(state, error)
                self.withdraw(state)
        require_working(self._repositories)

    def leave_out_lacking(self, folders: t.Sequence[str]) -> None:
        """See :class:`pipeline.producer.SelectiveSink`. Who may not look there is taken at our word."""
        for state in self.working:
            try:
                for folder in folders:
                    parts = parse_key(f"{folder}{MANIFEST}")
                    if parts is not None:
                        require_copy(state.storage, parts.folder, repository=state.name)
            except StorageForbidden:
                continue
            except LifeboatError as error:
                self.leave_out(state.name, error)

    def finish(self, manifest: Manifest, *, notes: str) -> None:
        """Write RESTORE.md and then, last of all, the manifest: from that moment on the backup exists.

        A repository in which a payload is no longer as it was stored is dropped. Raises ManifestInvalid when the
        manifest could not be read again.
        """
        data = self._manifest_bytes(manifest)
        self._put_everywhere(RESTORE_NOTES, notes.encode("utf-8"))
        self._each(self._require_payloads)
        self._put_everywhere(MANIFEST, data)

    def abandon(self) -> None:
        """Remove what this run wrote, as far as the repositories let us; the next run removes the rest.

        Where the manifest was tried, nothing is removed: the answer may have been lost, not the manifest.
        """
        for repository in self._repositories:
            if repository.written and not repository.manifest_tried:
                self.withdraw(repository)

    def withdraw(self, repository: RepositoryState) -> None:
        """Remove what this run wrote into one repository that is to be left out, as far as it lets us."""
        try:
            self._remove(repository)
        except LifeboatError as error:
            self._stays(repository, error.message)

    def _remove(self, repository: RepositoryState) -> None:
        # As the sweep does: started.json, which says whose this is, goes when nothing else is left.
        started, storage = self._folder.key(STARTED), repository.storage
        report = storage.delete([key for key in reversed(repository.written) if key != started])
        if not kept_reasons(report) and not any(storage.unfinished(self._folder.key(""))):
            report = storage.delete([started])
        for reason in dict.fromkeys(kept_reasons(report).values()):
            self._stays(repository, reason)

    def _stays(self, repository: RepositoryState, reason: str) -> None:
        self._journal.warning(
            f"{repository.name}: the unfinished {self._folder.backup_id} stays for the next run to remove: {reason}"
        )

    def _manifest_bytes(self, manifest: Manifest) -> bytes:
        """Prove, before anything depends on it, that the catalog will take the manifest for what it is."""
        try:
            data = manifest.as_bytes()
        except (TypeError, ValueError, RecursionError) as error:
            raise ManifestInvalid(
                f"The backup {manifest.backup_id} can't be described: {type(error).__name__}: {error}.",
                hint="Please report this with the versions of the server and of Lifeboat.",
            ) from error
        parse_manifest(data, folder=self._folder)
        return data

    def _require_payloads(self, repository: RepositoryState) -> None:
        """Another host of our name, a lifecycle rule or an administrator may have removed what is hours old by now."""
        try:
            sizes = {found.key: found.size for found in repository.storage.list(self._folder.key(""))}
        except StorageForbidden:
            return  # credentials that may write and nothing else
        gone = [payload.name for payload in self.payloads if sizes.get(self._folder.key(payload.name)) != payload.size]
        if gone:
            raise StorageNotFound(
                f"Somebody removed or changed {', '.join(gone)} while the backup {self._folder.backup_id} was made.",
                hint="Look for another host of this name that backs up the same source, and for expiry rules.",
                details={"payloads": gone},
            )

    def _put_everywhere(self, name: str, data: bytes) -> None:
        key = self._folder.key(name)

        def put(repository: RepositoryState) -> None:
            repository.manifest_tried = repository.manifest_tried or name == MANIFEST
            repository.written.append(key)
            _put(repository.storage, key, data)

        self._each(put)

    def _each(self, step: t.Callable[[RepositoryState], None]) -> None:
        for repository in self.working:
            try:
                step(repository)
            except LifeboatError as error:
                self._drop(repository, error)
        require_working(self._repositories)

    def _drop(self, repository: RepositoryState, error: LifeboatError) -> None:
        repository.error = error
        self._journal.warning(f"{repository.name}: left out of this backup: {error.message} [{error.code}]")


class _FanOut:
    """One object being written into several repositories."""

    def __init__(self, *, key: str, drop: t.Callable[[RepositoryState, LifeboatError], None]) -> None:
        self.size = 0
        self.hash = hashlib.sha256()
        self._key = key
        self._drop = drop
        self._writers: list[tuple[RepositoryState, ObjectWriter]] = []
        self._asked: list[RepositoryState] = []

    def open(self, repository: RepositoryState, *, expected_bytes: int | None) -> None:
        self._asked.append(repository)
        try:
            with undisturbed():
                writer = repository.storage.writer(self._key, expected_bytes=expected_bytes)
                self._writers.append((repository, writer))
        except LifeboatError as error:
            self._drop(repository, error)

    def require(self) -> None:
        """Raise StorageAllFailed when no writer is left."""
        if not self._writers:
            require_working(self._asked)

    def write(self, data: memoryview) -> None:
        self.size += len(data)
        self.hash.update(data)
        failed = []
        for repository, writer in self._writers:
            try:
                writer.write(data)
            except LifeboatError as error:
                writer.abort()
                self._drop(repository, error)
                failed.append(repository)
        if failed:
            self._writers = [pair for pair in self._writers if pair[0] not in failed]
            self.require()

    def commit(self) -> None:
        """Make the object durable everywhere, at the same time."""
        for repository, _writer in self._writers:
            repository.written.append(self._key)  # before: when we are told to stop now, it may be there
        commits = at_the_same_time([writer.commit for _repository, writer in self._writers])
        for (repository, writer), commit in zip(self._writers, commits):
            try:
                commit.result()
            except LifeboatError as error:
                writer.abort()
                self._drop(repository, error)
        self._writers = []
        require_working(self._asked)

    def abort(self) -> None:
        for _repository, writer in self._writers:
            writer.abort()


def require_working(repositories: t.Sequence[RepositoryState]) -> None:
    """Raise StorageAllFailed, with every reason, when not one of *repositories* works."""
    if any(repository.error is None for repository in repositories):
        return
    errors = [(repository.name, repository.error) for repository in repositories if repository.error]
    raise StorageAllFailed(
        "No repository of the job could take the backup. "
        + " ".join(f"{name}: {error.message} [{error.code}]" for name, error in errors),
        hint=next((error.hint for _name, error in errors if error.hint), ""),
        details={"repositories": [repository.as_dict() for repository in repositories]},
    )


def _put(storage: Storage, key: str, data: bytes) -> None:
    try:
        storage.put(key, data)
    except StorageExists:
        # An earlier try of ours whose answer was lost. Anybody else's object of this name would differ.
        if storage.get(key) != data:
            raise


def _json(document: t.Mapping[str, t.Any]) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode("utf-8")
