# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file, folder or link of a backup: what its list says of it."""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ..core.errors import FilesArchiveInvalid
from ..core.ids import is_backup_id

FILE, FOLDER, LINK, HARD_LINK = "file", "folder", "link", "hard link"
FIFO, CHARACTER, BLOCK = "fifo", "character device", "block device"
KINDS = (FILE, FOLDER, LINK, HARD_LINK, FIFO, CHARACTER, BLOCK)
_ANOTHER = "Restore another backup: lifeboat list shows them."


@dataclass(frozen=True)
class Entry:
    """*path* is relative to the root of the host. *mode* holds the twelve permission bits, *modified* nanoseconds since
    1970. *target* is where a link leads, or the path of the file that a hard link is another name of. *sha256* and
    *size* are a file's. *links* is how many names the file had, *device* the two numbers of a device, *extended* its
    extended attributes, access lists (``system.posix_acl_*``) among them. *backup* is the id of the earlier backup
    whose tar has a file's content; empty when it is the one that the list is of.
    """

    path: str
    kind: str
    mode: int
    user: int
    group: int
    modified: int
    user_name: str = ""
    group_name: str = ""
    size: int = 0
    sha256: str = ""
    target: str = ""
    links: int = 1
    device: tuple[int, int] = (0, 0)
    extended: t.Mapping[str, bytes] = field(default_factory=dict)
    backup: str = ""

    def as_line(self) -> bytes:
        """As one line of the list: JSON, what has its usual value left out."""
        document: dict[str, t.Any] = {
            "path": self.path,
            "kind": self.kind,
            "mode": f"{self.mode:04o}",
            "user": self.user,
            "group": self.group,
            "user_name": self.user_name,
            "group_name": self.group_name,
            "modified": self.modified,
        }
        if self.kind == FILE:
            document.update(size=self.size, sha256=self.sha256)
        if self.backup:
            document["backup"] = self.backup
        if self.links > 1:
            document["links"] = self.links
        if self.target:
            document["target"] = self.target
        if self.kind in (CHARACTER, BLOCK):
            document["device"] = list(self.device)
        if self.extended:
            document["extended"] = _encoded(self.extended)
        return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"

    @property
    def identity(self) -> bytes:
        """What makes it another one when it differs: all but the time, the names of numbers, and which tar has it."""
        document = [
            self.path,
            self.kind,
            self.mode,
            self.user,
            self.group,
            self.size if self.kind == FILE else 0,
            self.sha256,
            self.target,
            list(self.device),
            _encoded(self.extended),
        ]
        return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


class TreeDigest:
    """The content hash of a tree: SHA-256 over the identities of its entries in their order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, entry: Entry) -> None:
        """The next one."""
        self._digest.update(entry.identity)

    def hexdigest(self) -> str:
        """Of all that were added."""
        return self._digest.hexdigest()


def entry_from(line: bytes) -> Entry:
    """From :meth:`Entry.as_line`. Raises FilesArchiveInvalid for anything else."""
    try:
        document = json.loads(line)
        device = document.get("device") or (0, 0)
        made = Entry(
            path=str(document["path"]),
            kind=str(document["kind"]),
            mode=int(document["mode"], 8),
            user=int(document["user"]),
            group=int(document["group"]),
            modified=int(document["modified"]),
            user_name=str(document["user_name"]),
            group_name=str(document["group_name"]),
            size=int(document.get("size", 0)),
            sha256=str(document.get("sha256", "")),
            target=str(document.get("target", "")),
            links=int(document.get("links", 1)),
            device=(int(device[0]), int(device[1])),
            extended={str(name): base64.b64decode(value) for name, value in (document.get("extended") or {}).items()},
            backup=str(document.get("backup", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise FilesArchiveInvalid(f"The list of files has a line that is none: {error!r}.", hint=_ANOTHER) from error
    if made.kind not in KINDS:
        raise FilesArchiveInvalid(f"The list of files has an entry of the kind {made.kind!r}.", hint=_ANOTHER)
    if made.backup and (made.kind != FILE or not is_backup_id(made.backup)):
        raise FilesArchiveInvalid(
            f"The list of files has a {made.kind} that lies in {made.backup[:100]!r}.", hint=_ANOTHER
        )
    return made


def _encoded(extended: t.Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(extended[name]).decode("ascii") for name in sorted(extended)}
