# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending operations to applyOps in batches, which is thirty times as fast as one by one with the same result."""

from __future__ import annotations

import typing as t

from ..core.errors import MongoOplogNotReplayable
from . import bson_bytes
from .faults import NAMESPACE_NOT_FOUND, named_faults

if t.TYPE_CHECKING:
    from .connection import Client

_MOST_OPERATIONS = 1000
# The command's own document may have 16 MiB.
_MOST_BYTES = 8 * 1024 * 1024
# UpdateOperationFailed, from src/mongo/base/error_codes.yml of github.com/mongodb/mongo: there is no such document.
_UPDATE_FAILED = 218


class ApplyOps:
    """Collects inserts, updates and deletes and applies them in order.

    A collection that was dropped while the dump began is not in the archive, but the oplog still has what was done to
    it before: such operations are passed over, and *owed* holds those namespaces until dropped() is told of them. In
    the same way a document that was deleted before its collection was read may have been updated before that: some
    servers refuse such an update, and *owed_documents* holds it until its deletion comes.
    """

    def __init__(self, client: Client) -> None:
        self.applied = 0
        self.owed: set[str] = set()
        self.owed_documents: set[tuple[str, bytes]] = set()
        self._client = client
        self._operations: list[tuple[str, bytes]] = []
        self._bytes = 0

    def add(self, namespace: str, operation: bytes) -> None:
        """Take one operation on *namespace* (``database.name`` on the target)."""
        if self._operations and self._bytes + len(operation) > _MOST_BYTES:
            self.flush()
        self._operations.append((namespace, operation))
        self._bytes += len(operation)
        if len(self._operations) >= _MOST_OPERATIONS:
            self.flush()

    def dropped(self, namespace: str) -> None:
        """The namespace is gone at this point of the oplog."""
        self.flush()
        self.owed.discard(namespace)
        self.owed_documents = {one for one in self.owed_documents if one[0] != namespace}

    def flush(self) -> None:
        """Apply what was taken. Raises MongoOplogNotReplayable."""
        from pymongo.errors import OperationFailure

        operations, self._operations, self._bytes = self._operations, [], 0
        if not operations:
            return
        with named_faults("Replaying the oplog", role="restore, readWriteAnyDatabase, dbAdminAnyDatabase"):
            try:
                self._apply([operation for _namespace, operation in operations])
                self.applied += len(operations)
            except OperationFailure as error:
                if error.code not in (NAMESPACE_NOT_FOUND, _UPDATE_FAILED):
                    raise
            else:
                if self.owed_documents:
                    self.owed_documents -= {_document(*one, of="d") for one in operations}
                return
            # One by one, to see which: what was applied before may be applied again.
            for namespace, operation in operations:
                self._one(namespace, operation)

    def _one(self, namespace: str, operation: bytes) -> None:
        from pymongo.errors import OperationFailure

        try:
            self._apply([operation])
        except OperationFailure as error:
            if error.code == NAMESPACE_NOT_FOUND:
                self.owed.add(namespace)
                return
            document = _document(namespace, operation, of="u")
            if error.code != _UPDATE_FAILED or document is None:
                raise
            self.owed_documents.add(document)
        else:
            self.applied += 1
            if self.owed_documents:
                self.owed_documents -= {_document(namespace, operation, of=kind) for kind in "di"}

    def _apply(self, operations: t.Sequence[bytes]) -> None:
        from bson.raw_bson import RawBSONDocument

        command = {"applyOps": [RawBSONDocument(operation) for operation in operations]}
        self._client.admin.command({**command, "writeConcern": {"w": "majority"}})

    def require_paid(self) -> None:
        """Raise MongoOplogNotReplayable when operations were passed over on a namespace that was never dropped."""
        if self.owed:
            names = ", ".join(sorted(self.owed)[:5])
            raise MongoOplogNotReplayable(
                f"The archive's oplog changes collections that the archive does not have: {names}.",
                hint="Restore another backup: lifeboat list shows them.",
                details={"namespaces": sorted(self.owed)},
            )
        if self.owed_documents:
            names = ", ".join(sorted({namespace for namespace, _key in self.owed_documents})[:5])
            raise MongoOplogNotReplayable(
                f"The archive's oplog changes {len(self.owed_documents)} documents that the archive does not have "
                f"(in {names}).",
                hint="Restore another backup: lifeboat list shows them.",
                details={"documents": len(self.owed_documents)},
            )


def _document(namespace: str, operation: bytes, *, of: str) -> tuple[str, bytes] | None:
    """Which document an operation of the kind *of* concerns; None for operations of other kinds."""
    kind = bson_bytes.find(operation, b"op")
    if kind is None or bson_bytes.text(operation, kind) != of:
        return None
    body = bson_bytes.find(operation, b"o2" if of == "u" else b"o")
    key = None if body is None else bson_bytes.find(operation, b"_id", position=body.start, end=body.end)
    return None if key is None else (namespace, bytes((key.type,)) + operation[key.start : key.end])
