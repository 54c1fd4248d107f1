# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``backup_manifest`` of a base backup, read as it streams by and held against the files that came before it.

PostgreSQL writes one file to a line (src/backend/backup/backup_manifest.c), in the order in which it sent them, so that
neither list must be kept as text: 21 bytes of memory a file.
"""

from __future__ import annotations

import array
import hashlib
import json
import sys
import typing as t
from dataclasses import dataclass, field

from ..core.errors import PostgresBackupManifestInvalid

NAME = "backup_manifest"
CRC32C_NAME = "CRC32C"
_LONGEST_LINE = 65536
_SHOWN = 100
# Not in the list: WAL, which has checksums of its own, and the list itself.
_UNLISTED = ("pg_wal/", NAME)


@dataclass(frozen=True)
class WalRange:
    """WAL that the backup needs to become consistent."""

    timeline: int
    start_lsn: str
    end_lsn: str


class SeenFiles:
    """Path, size and CRC-32C of every file that was seen, compactly."""

    def __init__(self) -> None:
        self._paths = array.array("q")  # hashes of the names; the manifest has the names themselves
        self._sizes = array.array("Q")
        self._checksums = array.array("I")
        self._matched = bytearray()
        self._next = 0
        self._index: dict[int, int] = {}
        self._doubles = 0

    def add(self, path: str, *, size: int, checksum: int) -> None:
        """Note a file."""
        if path.startswith(_UNLISTED[0]) or path == _UNLISTED[1]:
            return
        self._paths.append(hash(path))
        self._sizes.append(size)
        self._checksums.append(checksum)
        self._matched.append(0)

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, path: str) -> tuple[int, int] | None:
        """Size and checksum of a file that is listed now, None when it was not seen."""
        wanted = hash(path)
        position = self._next
        if not (position < len(self._paths) and self._paths[position] == wanted):
            if not self._index:
                self._index = {one: number for number, one in enumerate(self._paths)}
            found = self._index.get(wanted)
            if found is None:
                return None
            position = found
        if self._matched[position]:
            self._doubles += 1
        self._matched[position] = 1
        self._next = position + 1
        return self._sizes[position], self._checksums[position]

    @property
    def unlisted(self) -> int:
        """How many files were seen that no list names, or that came twice."""
        return self._matched.count(0) + self._doubles


@dataclass
class Differences:
    """What is wrong, by file; only the first hundred are kept, *count* has them all."""

    problems: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, problem: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(problem)


class ManifestReader:
    """Takes the manifest's bytes piece by piece and compares each line with what was seen.

    After :meth:`finish` the *differences* and the facts hold.
    """

    def __init__(self, *, seen: SeenFiles) -> None:
        self._seen = seen
        self._digest = hashlib.sha256()
        self._rest = b""
        self._checksum = ""
        self._section = ""
        self.differences = Differences()
        self.files = 0
        self.unknown_algorithms = 0
        self.version = 0
        self.system_identifier: str | None = None
        self.wal_ranges: list[WalRange] = []

    def feed(self, data: bytes | memoryview) -> None:
        """The next bytes. Raises PostgresBackupManifestInvalid."""
        lines = (self._rest + bytes(data)).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST_LINE:
            raise _invalid("a line has no end")
        for line in lines:
            self._line(line)

    def finish(self) -> None:
        """The end of the manifest. Raises PostgresBackupManifestInvalid when it was not whole or was changed."""
        if self._rest:
            self._line(self._rest)
        if not self._checksum:
            raise _invalid("it has no end")
        if self._checksum != self._digest.hexdigest():
            raise _invalid("its own checksum is wrong")
        if not self.wal_ranges:
            raise _invalid("it names no WAL")
        extra = self._seen.unlisted
        if extra:
            self.differences.add(f"{extra} files are in the backup that its backup_manifest does not list")

    def _line(self, line: bytes) -> None:
        if self._checksum:
            raise _invalid("something follows its end")
        if line.startswith(b'"Manifest-Checksum"'):
            self._checksum = str(_parsed(b"{" + line.rstrip(b"}") + b"}").get("Manifest-Checksum", "?"))
            return
        self._digest.update(line + b"\n")
        if line.startswith(b'"Files"'):
            self._section = "files"
        elif line.startswith(b'"WAL-Ranges"'):
            self._section = "wal"
        elif line == b"],":
            self._section = ""
        elif self._section == "files":
            self._file(_parsed(line.rstrip(b",")))
        elif self._section == "wal":
            self._range(_parsed(line.rstrip(b",")))
        else:
            self._head(_parsed(b"{" + line.lstrip(b"{ ").rstrip(b",") + b"}"))

    def _head(self, entry: t.Mapping[str, t.Any]) -> None:
        if "System-Identifier" in entry:
            self.system_identifier = str(entry["System-Identifier"])
        version = entry.get("PostgreSQL-Backup-Manifest-Version", self.version)
        if not isinstance(version, int):
            raise _invalid(f"its version is {version!r}")
        self.version = version

    def _range(self, entry: t.Mapping[str, t.Any]) -> None:
        try:
            self.wal_ranges.append(
                WalRange(
                    timeline=int(entry["Timeline"]),
                    start_lsn=str(entry["Start-LSN"]),
                    end_lsn=str(entry["End-LSN"]),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _invalid(f"a range of WAL lacks {error}") from None

    def _file(self, entry: t.Mapping[str, t.Any]) -> None:
        self.files += 1
        try:
            path = str(entry["Path"]) if "Path" in entry else _decoded(entry["Encoded-Path"])
            size = int(entry["Size"])
        except (KeyError, TypeError, ValueError) as error:
            raise _invalid(f"a file lacks {error}") from None
        found = self._seen.find(path)
        if found is None:
            if not path.startswith(_UNLISTED[0]):
                self.differences.add(f"{path} is missing")
            return
        if found[0] != size:
            self.differences.add(f"{path} has {found[0]} bytes instead of {size}")
        elif entry.get("Checksum-Algorithm") != CRC32C_NAME:
            self.unknown_algorithms += 1
        # PostgreSQL prints the bytes as they lie in memory.
        elif found[1].to_bytes(4, sys.byteorder).hex() != entry.get("Checksum"):
            self.differences.add(f"{path} has another content than it had")


def _decoded(text: str) -> str:
    return bytes.fromhex(text).decode("utf-8", "surrogateescape")


def _parsed(text: bytes) -> dict[str, t.Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _invalid(f"a line can't be read: {text[:80].decode('utf-8', 'replace')!r}")
    return found


def _invalid(why: str) -> PostgresBackupManifestInvalid:
    return PostgresBackupManifestInvalid(
        f"The backup_manifest in the base backup can't be trusted: {why}.",
        hint="Restore another backup: lifeboat list shows them.",
    )
