# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One segment into one repository, whole and durable, under a name that nobody else's bytes can have."""

from __future__ import annotations

import hashlib
import secrets
import typing as t

from ..core.clock import Clock
from ..core.errors import (
    PayloadDamaged,
    PayloadTooLarge,
    PipelineFailed,
    StorageExists,
    StorageForbidden,
    StorageNotFound,
    StreamConflict,
)
from ..core.progress import Progress
from ..pipeline.delivery import PayloadOutput, deliver
from ..pipeline.producer import StoredPayload
from ..storage.base import Storage
from .encoder import Encoded, SegmentEncoder
from .layout import StreamFolder, object_name, plain_sha256_in
from .segment import Segment, SegmentDescription
from .spool import SpoolEntry
from .unrecorded import may_be_taken, time_of_storage

_PIECE = 1024 * 1024


class SegmentWriter:
    """Stores segments in one repository; safe for threads."""

    def __init__(self, *, storage: Storage, encoder: SegmentEncoder, clock: Clock) -> None:
        self._storage = storage
        self._encoder = encoder
        self._clock = clock

    def store(self, folder: StreamFolder, entry: SpoolEntry, description: SegmentDescription) -> Segment:
        """Put the file there, or find it there already.

        An object of that name has our plain bytes; it is read for its stored size and hash, which are never guessed.
        One that is not young any more may be swept at any moment (:mod:`unrecorded`): ours go beside it. Raises
        StreamConflict when it does not hold them, StreamSegmentGone, PipelineFailed, and StorageError.
        """
        encoded = self._encoder.encode(entry)
        name = object_name(description.name, encoded.plain_sha256, self._encoder.suffixes)
        try:
            payload = self._put(folder, entry, description, encoded, name)
        except StorageExists:
            payload = self._find(folder, entry, description, encoded, name)
        self._encoder.taken(entry)
        return Segment(
            description=description, payload=payload, plain_sha256=encoded.plain_sha256, stored=self._clock.now()
        )

    def plain_sha256(self, entry: SpoolEntry) -> str:
        """The hash of the file's bytes. Raises StreamSegmentGone."""
        return self._encoder.plain_sha256(entry)

    def require_alone(self, folder: StreamFolder, segment: Segment) -> None:
        """Raise StreamConflict when other bytes are stored under the segment's name.

        To be asked after it was stored: of two who store different bytes at the same time, one sees the other. Where
        the credentials may not list, the readers of the records find out.
        """
        description = segment.description
        prefix = folder.group_prefix(description.group)
        try:
            keys = [found.key for found in self._storage.list(f"{prefix}{description.name}.")]
        except StorageForbidden:
            return
        for key in keys:
            other = plain_sha256_in(key[len(prefix) :], description.name)
            if other not in (None, segment.plain_sha256):
                raise StreamConflict(
                    f"{key} holds other bytes than ours of {description.name}; neither was replaced.",
                    hint="Two servers write into one archive, or this one was set back without a new timeline. "
                    "Find out which bytes are right before anything is removed.",
                    details={"segment": description.name, "key": key, "ours": segment.payload.name},
                )

    def _put(
        self, folder: StreamFolder, entry: SpoolEntry, description: SegmentDescription, encoded: Encoded, name: str
    ) -> StoredPayload:
        key = folder.segment_key(description.group, name)
        if encoded.data is not None:
            self._storage.put(key, encoded.data)
            return self._payload(description, encoded, name, size=len(encoded.data), sha256=encoded.sha256)
        writer = self._storage.writer(key, expected_bytes=encoded.plain_size)
        try:
            size, sha256 = self._encoder.send(entry, encoded, writer.write)
            writer.commit()
        except BaseException:
            writer.abort()
            raise
        return self._payload(description, encoded, name, size=size, sha256=sha256)

    def _find(
        self, folder: StreamFolder, entry: SpoolEntry, description: SegmentDescription, encoded: Encoded, name: str
    ) -> StoredPayload:
        key = folder.segment_key(description.group, name)
        digest, size = hashlib.sha256(), 0
        try:
            is_ours = self._may_be_taken(key)
            for piece in self._storage.read(key) if is_ours else ():
                digest.update(piece)
                size += len(piece)
        except StorageForbidden:
            # Credentials that may only write. Nobody here can tell what that object's bytes are, and a record must not
            # guess: ours go beside it, and the record names them.
            is_ours = False
        except StorageNotFound:
            return self._put(folder, entry, description, encoded, name)  # swept meanwhile
        if not is_ours:
            beside = object_name(
                description.name, encoded.plain_sha256, f".{secrets.token_hex(3)}{self._encoder.suffixes}"
            )
            return self._put(folder, entry, description, encoded, beside)
        payload = self._payload(description, encoded, name, size=size, sha256=digest.hexdigest())
        if payload.sha256 != encoded.sha256 and self._encoder.encryption is None:
            self._require_ours(key, payload, encoded)
        return payload

    def _may_be_taken(self, key: str) -> bool:
        """Whether no sweep can be after it. Raises StorageForbidden, StorageNotFound."""
        found = self._storage.stat(key)
        now = time_of_storage(self._storage, clock=self._clock)
        return now is not None and may_be_taken(found, now=now)

    def _require_ours(self, key: str, payload: StoredPayload, encoded: Encoded) -> None:
        """What is not encrypted can be compared with what it should be."""
        digest = hashlib.sha256()

        def read(stream: t.BinaryIO) -> None:
            while True:
                piece = stream.read(_PIECE)
                if not piece:
                    return
                digest.update(piece)

        try:
            deliver(
                payload,
                PayloadOutput(read=read),
                read=lambda: self._storage.read(key),
                identity_file=None,
                progress=Progress(clock=self._clock),
            )
            is_ours = digest.hexdigest() == encoded.plain_sha256
        except (PayloadDamaged, PayloadTooLarge, PipelineFailed):
            is_ours = False
        if not is_ours:
            raise StreamConflict(
                f"{key} does not hold the bytes that its name says.",
                hint="It is damaged, or not of Lifeboat's making. Move it away; the segment is still in the spool.",
                details={"key": key},
            )

    def _payload(
        self, description: SegmentDescription, encoded: Encoded, name: str, *, size: int, sha256: str
    ) -> StoredPayload:
        return StoredPayload(
            name=name,
            media=description.media,
            size=size,
            sha256=sha256,
            plain_size=encoded.plain_size,
            compression=self._encoder.compression,
            encryption=self._encoder.encryption,
        )
