# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of transactions that have not ended yet, kept until they do; large ones wait on disk."""

from __future__ import annotations

import tempfile
import typing as t

from .oplog_entry import OplogEntry, is_set, read_entry

_IN_MEMORY = 4 * 1024 * 1024


class TransactionParts:
    """By what tells a transaction from all others. close() must follow."""

    def __init__(self) -> None:
        self._open: dict[bytes, t.IO[bytes]] = {}

    def __contains__(self, transaction: object) -> bool:
        return transaction in self._open

    def keep(self, transaction: bytes, entry: OplogEntry) -> None:
        """One more entry of a transaction."""
        if transaction not in self._open:
            self._open[transaction] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 closed at its end
        self._open[transaction].write(entry.raw)

    def forget(self, transaction: bytes) -> None:
        """It was aborted, or nobody needs it."""
        parts = self._open.pop(transaction, None)
        if parts is not None:
            parts.close()

    def take(self, transaction: bytes) -> t.Iterator[OplogEntry]:
        """Its entries in order, which are not kept any more; none when there are none."""
        parts = self._open.pop(transaction, None)
        if parts is None:
            return
        with parts:
            parts.seek(0)
            while True:
                head = parts.read(4)
                if not head:
                    return
                yield read_entry(head + parts.read(int.from_bytes(head, "little") - 4))

    def close(self) -> None:
        """Forget all."""
        for parts in self._open.values():
            parts.close()
        self._open.clear()


def is_part(entry: OplogEntry) -> bool:
    """Whether an applyOps entry does not end its transaction."""
    return is_set(entry, b"partialTxn") or is_set(entry, b"prepare")
