# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The payloads of one backup, from one repository: what a PayloadSink is on the way in."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass

from ..catalog.manifest import Manifest
from ..catalog.restore_notes import plain_name
from ..core.errors import ManifestInvalid, SecretUnavailable
from ..core.progress import Progress
from ..core.runner import Runner
from ..core.secrets import Secret
from ..pipeline.delivery import PayloadOutput, deliver
from ..pipeline.producer import StoredPayload
from ..pipeline.stored_check import ReadStored, check_stored
from ..storage.base import Storage

# A pipe takes at least a page without a reader (pipe(7)); more than that would wait for one for ever.
_LARGEST_KEY = 4096


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
        """Stream the plain bytes of the payload *name* to *output*; see :func:`pipeline.delivery.deliver`."""
        payload = self.payload(name)
        with self._identity_file(payload) as identity_file:
            return deliver(payload, output, read=self._read(payload), identity_file=identity_file, progress=progress)

    def check(self, payload: StoredPayload, *, progress: Progress) -> None:
        """Compare size and SHA-256 of the stored bytes; see :func:`pipeline.delivery.check_stored`."""
        check_stored(payload, read=self._read(payload), progress=progress)

    def _read(self, payload: StoredPayload) -> ReadStored:
        return lambda: self.storage.read(self.manifest.folder.key(payload.name))

    @contextlib.contextmanager
    def _identity_file(self, payload: StoredPayload) -> t.Iterator[str | None]:
        """The private key as a path that age can open: the operator's own file, or a pipe that no one else can see."""
        if not payload.encryption or not self.identity.is_given:
            yield None
            return
        if self.identity.file is not None:
            self.identity.fetch(runner=self.runner)  # says what is wrong with the file, before age does
            yield self.identity.file
            return
        key = (self.identity.fetch(runner=self.runner) or "").encode("utf-8") + b"\n"
        if len(key) > _LARGEST_KEY:
            raise SecretUnavailable(
                f"{self.identity.name}: {len(key)} bytes are no private key of age.",
                hint="It is one line, AGE-SECRET-KEY-..., beside comments. A file may hold more: use identity_file.",
            )
        reading, writing = os.pipe()
        try:
            try:
                os.write(writing, key)
            finally:
                os.close(writing)
            yield f"/dev/fd/{reading}"
        finally:
            os.close(reading)
