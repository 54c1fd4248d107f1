# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The payloads of one backup, from one repository: what a PayloadSink is on the way in."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.copies import require_copy
from ..catalog.manifest import Manifest
from ..catalog.restore_notes import plain_name
from ..core.errors import ManifestInvalid, StorageNotFound
from ..core.progress import Progress
from ..core.runner import Runner
from ..core.secrets import Secret
from ..pipeline.delivery import PayloadOutput, deliver
from ..pipeline.producer import StoredPayload
from ..pipeline.stored_check import ReadStored, check_stored
from ..storage.base import Storage
from .identity_file import identity_path
from .key_check import require_key


@dataclass(frozen=True)
class PayloadSource:
    """One backup's payloads as they lie in one repository; *identity* is the private key, where one is needed."""

    manifest: Manifest
    storage: Storage
    repository: str
    runner: Runner
    identity: Secret

    def payload(self, name: str) -> StoredPayload:
        """The payload whose plain name (``dump.archive``) is *name*. Raises ManifestInvalid when there is none."""
        for payload in self.manifest.payloads:
            if plain_name(payload) == name:
                return payload
        names = ", ".join(sorted(plain_name(payload) for payload in self.manifest.payloads)) or "none"
        raise ManifestInvalid(
            f"The backup {self.manifest.backup_id} has no payload {name}; it has: {names}.",
            hint="Restore another backup: lifeboat list shows them.",
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The plain names of all payloads, in the order in which they were stored."""
        return tuple(plain_name(payload) for payload in self.manifest.payloads)

    def deliver(self, name: str, output: PayloadOutput, *, progress: Progress) -> int | None:
        """Stream the plain bytes of the payload *name* to *output*; see :func:`pipeline.delivery.deliver`.

        Raises BackupRemoved when retention takes the backup away while it is read, and what deliver() raises.
        """
        payload = self.payload(name)
        identity = self.identity if payload.encryption else Secret(name=self.identity.name)
        with identity_path(identity, runner=self.runner) as identity_file:
            return deliver(payload, output, read=self._read(payload), identity_file=identity_file, progress=progress)

    def check(self, payload: StoredPayload, *, progress: Progress) -> None:
        """Compare size and SHA-256 of the stored bytes; see :func:`pipeline.delivery.check_stored`.

        Raises BackupRemoved when retention takes the backup away meanwhile.
        """
        check_stored(payload, read=self._read(payload), progress=progress)

    def require_key(self) -> None:
        """Raise IdentityMissing, SecretUnavailable or DecryptionFailed when the private key does not open them."""
        for payload in self.manifest.payloads[:1]:  # all of a backup were encrypted for the same recipients
            require_key(payload, read=self._read(payload), identity=self.identity, runner=self.runner)

    def require_there(self) -> None:
        """Raise BackupRemoved when retention removes this copy, or did: then nothing that is missing is damage."""
        require_copy(self.storage, self.manifest.folder, repository=self.repository)

    def _read(self, payload: StoredPayload) -> ReadStored:
        key = self.manifest.folder.key(payload.name)

        def read() -> t.Iterator[bytes]:
            try:
                return self._pieces(self.storage.read(key))
            except StorageNotFound:
                self.require_there()
                raise

        return read

    def _pieces(self, pieces: t.Iterator[bytes]) -> t.Iterator[bytes]:
        try:
            yield from pieces
        except StorageNotFound:  # looked for again after the connection broke
            self.require_there()
            raise
