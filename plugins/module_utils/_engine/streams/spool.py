# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spool: a folder of the source's host where segments wait until the repositories have them.

Whatever lies in it under a name that does not begin with a dot is whole and durable: files are written under a
temporary name, synced and given their name, which is never taken from another file. A note (JSON, ``.note-NAME``) may
lie beside a file; it is written first.
"""

from __future__ import annotations

import contextlib
import datetime
import filecmp
import json
import os
import stat
import tempfile
import typing as t
from dataclasses import dataclass

from ..core.durable import fsync_folder
from ..core.errors import StreamConflict, StreamSpoolFull, StreamSpoolUnusable

TEMPORARY = ".tmp-"
NOTE = ".note-"


@dataclass(frozen=True)
class SpoolEntry:
    """One file that waits: its name, where it is, its size in bytes and when it was put there (aware, UTC)."""

    name: str
    path: str
    size: int
    modified: datetime.datetime


@dataclass(frozen=True)
class Spool:
    """The folder *path*; at most *budget* bytes may wait in it."""

    path: str
    budget: int

    def entries(self) -> list[SpoolEntry]:
        """What waits, in order of name. Raises StreamSpoolUnusable, also when the folder is not there."""
        found: list[SpoolEntry] = []
        try:
            for entry in os.scandir(self.path):
                if entry.name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode):
                        modified = datetime.datetime.fromtimestamp(facts.st_mtime, tz=datetime.timezone.utc)
                        found.append(SpoolEntry(entry.name, entry.path, facts.st_size, modified))
        except OSError as error:
            raise self._unusable(error) from error
        return sorted(found, key=lambda entry: entry.name)

    def used(self) -> int:
        """Bytes that wait. Raises StreamSpoolUnusable."""
        return sum(entry.size for entry in self.entries())

    def require_room(self, size: int) -> None:
        """Raise StreamSpoolFull when *size* more bytes would exceed the budget."""
        used = self.used()
        if used + size > self.budget:
            raise StreamSpoolFull(
                f"{used} bytes wait in {self.path}, and its budget is {self.budget}.",
                hint="See what keeps them from being stored: lifeboat ship --status",
                details={"used": used, "budget": self.budget, "path": self.path},
            )

    def put(
        self, name: str, write: t.Callable[[t.BinaryIO], None], *, note: t.Mapping[str, t.Any] | None = None
    ) -> None:
        """Add a file, whole and durable or not at all. The same bytes under the same name are accepted again.

        Raises StreamConflict when other bytes have the name, StreamSpoolUnusable, and whatever *write* raises.
        """
        if not name or name.startswith(".") or "/" in name:
            raise ValueError(f"{name!r} can't wait in a spool")
        target = os.path.join(self.path, name)
        temporary = ""
        try:
            if note is not None:
                self._write_note(name, note)
            descriptor, temporary = tempfile.mkstemp(dir=self.path, prefix=TEMPORARY)
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, target)
            except FileExistsError:
                if not filecmp.cmp(temporary, target, shallow=False):
                    raise StreamConflict(
                        f"{target} is there already, with other bytes.",
                        hint=f"Compare and move one of them away: ls -l {target}",
                        details={"path": target},
                    ) from None
            fsync_folder(self.path)
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def note(self, name: str) -> dict[str, t.Any]:
        """The note beside a file; empty when there is none or it can't be read as one."""
        try:
            with open(os.path.join(self.path, NOTE + name), encoding="utf-8") as file:
                document = json.load(file)
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def remove(self, names: t.Iterable[str]) -> None:
        """Remove files that the repositories have, each with its note behind it. Raises StreamSpoolUnusable."""
        try:
            for name in names:
                for path in (os.path.join(self.path, name), os.path.join(self.path, NOTE + name)):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
        except OSError as error:
            raise self._unusable(error) from error

    def _write_note(self, name: str, note: t.Mapping[str, t.Any]) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self.path, prefix=TEMPORARY)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(note, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, os.path.join(self.path, NOTE + name))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _unusable(self, error: OSError) -> StreamSpoolUnusable:
        return StreamSpoolUnusable(
            f"The spool {self.path} can't be used: {error.strerror}.",
            hint=f"Run: ls -ld {self.path}; df -h {self.path}",
            details={"path": self.path},
        )
