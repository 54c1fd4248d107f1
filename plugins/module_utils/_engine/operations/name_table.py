# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of names that may be millions, on disk and in constant memory, gone when it is closed.

It lies in a temporary database of SQLite that has no name in any folder, so that nothing stays behind, however the
process ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import typing as t

from ..core.errors import LibraryMissing, ScratchUnusable

if t.TYPE_CHECKING:
    import sqlite3

_BATCH = 500
# In KiB; the rest is the operating system's own cache.
_CACHE = 8 * 1024
_LARGEST = 1 << 63

#: A name with two numbers that belong to it, each from 0 below 2**63.
Row = tuple[str, int, int]


class NameTable:
    """Names with two numbers each; one thread at a time, to be closed. Names are kept as 128 bits of their hash.

    Every method raises ScratchUnusable when there is no room for temporary files.
    """

    def __init__(self) -> None:
        try:
            import sqlite3
        except ImportError as error:
            raise LibraryMissing(
                "This Python was built without SQLite, which keeps long lists of segments out of memory.",
                hint="Install your distribution's Python, or its package python3-sqlite3.",
            ) from error
        self._error: type[sqlite3.Error] = sqlite3.Error
        with self._usable():
            # The empty name: a database of its own in a file that has no name any more.
            self._base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._base.execute(f"PRAGMA cache_size = -{_CACHE}")
            self._base.execute("PRAGMA journal_mode = OFF")
            self._base.execute("PRAGMA synchronous = OFF")
            self._base.execute(
                "CREATE TABLE names (name BLOB PRIMARY KEY, first INTEGER, second INTEGER, seen INTEGER) WITHOUT ROWID"
            )

    def close(self) -> None:
        """Give the space back."""
        self._base.close()

    def add(self, rows: t.Iterable[Row]) -> None:
        """Note names; of one that is known already nothing changes."""
        self._insert("INSERT OR IGNORE INTO names VALUES (?, ?, ?, 0)", rows)

    def replace(self, rows: t.Iterable[Row]) -> None:
        """Note names; of one that is known already the new numbers count."""
        self._insert("INSERT OR REPLACE INTO names VALUES (?, ?, ?, 0)", rows)

    def find(self, names: t.Sequence[str]) -> dict[str, tuple[int, int]]:
        """The numbers of those of *names* that are known."""
        found: dict[str, tuple[int, int]] = {}
        for batch in _batches(names):
            by_hash = {_hash(name): name for name in batch}
            marks = ",".join("?" * len(by_hash))
            with self._usable():
                rows = self._base.execute(
                    f"SELECT name, first, second FROM names WHERE name IN ({marks})",  # noqa: S608 - question marks
                    list(by_hash),
                )
                found.update((by_hash[bytes(name)], (first, second)) for name, first, second in rows)
        return found

    def see(self, names: t.Iterable[str]) -> None:
        """Mark names as seen; what is not known is passed over."""
        with self._transaction():
            self._base.executemany("UPDATE names SET seen = 1 WHERE name = ?", ((_hash(name),) for name in names))

    def unseen(self) -> t.Iterator[tuple[int, int]]:
        """For each second number that names have which were never seen: the number, and how many. In order."""
        with self._usable():
            yield from self._base.execute(
                "SELECT second, COUNT(*) FROM names WHERE seen = 0 GROUP BY second ORDER BY second"
            ).fetchall()

    def is_unseen(self, name: str) -> bool:
        """Whether the name is known and was never seen."""
        with self._usable():
            row = self._base.execute("SELECT seen FROM names WHERE name = ?", (_hash(name),)).fetchone()
        return row is not None and not row[0]

    def forget_unseen(self) -> int:
        """Take away what was never seen; how many."""
        with self._usable():
            return self._base.execute("DELETE FROM names WHERE seen = 0").rowcount

    def __len__(self) -> int:
        with self._usable():
            return int(self._base.execute("SELECT COUNT(*) FROM names").fetchone()[0])

    def _insert(self, statement: str, rows: t.Iterable[Row]) -> None:
        with self._transaction():
            self._base.executemany(statement, ((_hash(name), first, second) for name, first, second in rows))

    @contextlib.contextmanager
    def _transaction(self) -> t.Iterator[None]:
        with self._usable():
            self._base.execute("BEGIN")
            try:
                yield
            finally:
                # Never back: there is no journal to go back with, and half of a list harms nobody.
                if self._base.in_transaction:
                    self._base.execute("COMMIT")

    @contextlib.contextmanager
    def _usable(self) -> t.Iterator[None]:
        try:
            yield
        except self._error as error:
            raise ScratchUnusable(
                f"The list of segments does not fit into the folder for temporary files: {error}.",
                hint="Free space there, or name another folder: TMPDIR=/path lifeboat ...",
            ) from error


def number_of(text: str) -> int:
    """A number that stands for *text*: 63 bits of its hash."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big") % _LARGEST


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8"), digest_size=16).digest()


def _batches(names: t.Sequence[str]) -> t.Iterator[list[str]]:
    iterator = iter(names)
    while True:
        batch = list(itertools.islice(iterator, _BATCH))
        if not batch:
            return
        yield batch
