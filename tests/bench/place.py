# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the benchmark works and how much data it is to use."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """*folder* holds servers and runs; with *keep* the servers' data stay there for the next time."""

    folder: Path
    megabytes: float
    keep: bool
    say: t.Callable[[str], None]

    def server_folder(self, name: str) -> Path:
        """The folder of one server, which every user may enter: PostgreSQL runs as its own."""
        folder = self.folder / "servers"
        folder.mkdir(mode=0o711, exist_ok=True)
        return folder / name
