# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a private key opens what is to be restored: asked of the first bytes, before anything is stopped or made.

age writes the recipients into a header, and which of them a key belongs to shows there; what comes behind is read for
nothing. Whether the rest is whole is another question (level 1).
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import replace

from ..core.clock import SystemClock
from ..core.errors import DecryptionFailed
from ..core.progress import Progress
from ..core.runner import Runner
from ..core.secrets import Secret
from ..pipeline.delivery import PayloadOutput, deliver
from ..pipeline.producer import StoredPayload
from ..pipeline.stored_check import ReadStored
from .identity_file import identity_path

# A header has 200 bytes and some for each recipient.
_HEAD = 64 * 1024


def require_key(payload: StoredPayload, *, read: ReadStored, identity: Secret, runner: Runner) -> None:
    """Raise IdentityMissing, SecretUnavailable or DecryptionFailed when *identity* does not open *payload*.

    Nothing is asked of what is not encrypted. Raises what *read* raises, too.
    """
    if not payload.encryption:
        return
    if not identity.is_given:
        _deliver(payload, b"", identity_file=None)  # says so
    head = _head(read)
    with identity_path(identity, runner=runner) as identity_file:
        try:
            _deliver(payload, head, identity_file=identity_file)
        except DecryptionFailed as error:
            if "process" not in error.details:
                raise
            # The key was right, and age complains that the rest is missing, which it is.


def _head(read: ReadStored) -> bytes:
    head = b""
    for piece in read():
        head += piece
        if len(head) >= _HEAD:
            break
    return head[:_HEAD]


def _swallow(plain: t.BinaryIO) -> None:
    while plain.read(_HEAD):
        pass


def _deliver(payload: StoredPayload, head: bytes, *, identity_file: str | None) -> None:
    beginning = replace(
        payload, size=len(head), sha256=hashlib.sha256(head).hexdigest(), plain_size=None, compression=None
    )
    deliver(
        beginning,
        PayloadOutput(read=_swallow),
        read=lambda: iter((head,)),
        identity_file=identity_file,
        progress=Progress(clock=SystemClock()),
    )
