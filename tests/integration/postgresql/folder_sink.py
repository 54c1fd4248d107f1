# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest payload sink: the real pipeline with zstd, into files of one folder."""

from __future__ import annotations

import hashlib
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    PayloadInput,
    StoredPayload,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.stream import stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import Compression


class FolderSink:
    """Stores every payload as NAME.zst. *after* is called with the payload's name once it is stored."""

    def __init__(self, folder: Path, *, on_data: t.Callable[[str], None] | None = None) -> None:
        self.folder = folder
        self.progress = Progress(clock=SystemClock())
        self.stored: dict[str, StoredPayload] = {}
        self._on_data = on_data
        folder.mkdir(parents=True, exist_ok=True)

    def store(self, payload: PayloadInput) -> StoredPayload:
        transforms = () if payload.compressed else (Compression(),)
        name = payload.name + "".join(transform.suffix for transform in transforms)
        digest, path = hashlib.sha256(), self.folder / name
        with path.open("wb") as file:

            def consume(data: memoryview) -> None:
                if self._on_data is not None:
                    self._on_data(payload.name)
                digest.update(data)
                file.write(data)

            try:
                plain = stream(payload, transforms=transforms, consume=consume, progress=self.progress)
            except BaseException:
                path.unlink()
                raise
        stored = StoredPayload(
            name=name,
            media=payload.media,
            size=path.stat().st_size,
            sha256=digest.hexdigest(),
            plain_size=plain,
            compression="zstd" if transforms else None,
            encryption=None,
        )
        self.stored[payload.name] = stored
        return stored

    def plain(self, name: str) -> bytes:
        """The plain bytes of a stored payload."""
        return subprocess.run(
            ["zstd", "-dcq", self.folder / self.stored[name].name], check=True, capture_output=True
        ).stdout

    def fetch(self, name: str) -> str:
        """The shell words that print the plain bytes: what {fetch:NAME} in RESTORE.md becomes."""
        return f"zstd -dc '{self.folder / self.stored[name].name}'"
