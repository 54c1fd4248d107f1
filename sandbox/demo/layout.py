# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the sandbox keeps what."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ..errors import SandboxError
from ..files import create_directory
from ..postgresql_host import is_reachable, operating_system_user

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = ".lifeboat-sandbox"


@dataclass(frozen=True)
class Layout:
    """The folder of one sandbox. ``description`` is what inventories read; it holds no secret."""

    root: Path

    @classmethod
    def at(cls, directory: Path) -> Layout:
        return cls(root=directory.absolute())

    @property
    def description(self) -> Path:
        return self.root / "sandbox.json"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials"

    @property
    def servers(self) -> Path:
        return self.root / "servers"

    def server(self, kind: str) -> Path:
        """The folder of one server."""
        return self.servers / kind

    @property
    def postgresql(self) -> Path:
        """The folder of PostgreSQL: elsewhere when its user can't enter ours (a clone below /root)."""
        user = operating_system_user()
        ancestor = next(path for path in (self.root, *self.root.parents) if path.exists())
        return self.server("postgresql") if is_reachable(ancestor, user) else self.elsewhere

    @property
    def elsewhere(self) -> Path:
        """Outside of the sandbox, named after it."""
        return Path("/var/tmp") / f"lifeboat-sandbox-{hashlib.sha256(bytes(self.root)).hexdigest()[:12]}"  # noqa: S108

    def create(self) -> None:
        """Make the folders. Refuses a folder that has other content: ``down`` will remove it with all that is in it."""
        if self.root.exists() and not self.is_sandbox() and any(self.root.iterdir()):
            raise SandboxError(f"{self.root} has files that aren't a sandbox's: name an empty or new folder")
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / _MARK).touch()
        self.servers.mkdir(exist_ok=True)
        self.credentials.mkdir(mode=0o700, exist_ok=True)
        if self.postgresql == self.elsewhere:
            create_directory(self.elsewhere, mode=0o711, owner=operating_system_user())

    def is_sandbox(self) -> bool:
        """Whether the folder was made by ``create``."""
        return (self.root / _MARK).exists()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time; a second one waits."""
        descriptor = os.open(self.root / _MARK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
