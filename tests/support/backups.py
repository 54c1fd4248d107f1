# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real source to back up, with its producer, and runs of the backup operation on it."""

from __future__ import annotations

import hashlib
import os
import pathlib
import random
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup, read_catalog
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series, parse_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.backup_values import (
    BackupRequest,
    ProducerContext,
    RepositoryRequest,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    Inspection,
    PayloadInput,
    PayloadSink,
    Production,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import (
    Compression,
    Transforms,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage

SERIES = Series(service="shop", source="main", kind="static")
MIB = 1024 * 1024


def make_source(folder: pathlib.Path, *, size: int = 3 * MIB) -> Source:
    """A file of *size* bytes that don't compress (the same every time), beside which its readings are counted."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").write_bytes(random.Random(size).randbytes(size))
    return Source(folder=str(folder))


@dataclass
class Source:
    """A file that is backed up twice: by a process that prints it, and by a Python writer.

    *script* is the process's shell command. The writer writes the first *copied* bytes (None: all), and calls *finish*
    before the last ten.
    """

    folder: str
    engine: str = "files"
    kind: str = SERIES.kind
    script: str = "cat data"
    copied: int | None = None
    finish: t.Callable[[], None] = lambda: None
    content: dict[t.Any, t.Any] = field(default_factory=lambda: {"files": 1})
    restore_commands: str = "```sh\n{fetch:process} > data\n{fetch:writer} > copy\n```"
    contexts: list[ProducerContext] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        """What the file holds."""
        return pathlib.Path(self.folder, "data").read_bytes()

    @property
    def readings(self) -> tuple[int, int]:
        """How often the process and the writer began to read it."""
        path = pathlib.Path(self.folder, "readings")
        lines = path.read_text(encoding="ascii").split() if path.exists() else []
        return lines.count("process"), lines.count("writer")

    def producer(self, context: ProducerContext) -> Source:
        """For BackupRequest.make_producer."""
        self.contexts.append(context)
        return self

    def inspect(self) -> Inspection:
        """See Producer."""
        size = os.path.getsize(os.path.join(self.folder, "data"))
        expected = size + (size if self.copied is None else self.copied)
        return Inspection(facts={"size": size}, steps=("read the file twice",), expected_bytes=expected)

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """See Producer."""
        del progress
        script = f"cd '{self.folder}' && echo process >> readings && {self.script}"
        sink.store(PayloadInput(name="process", media="text", argv=("sh", "-c", script)))
        sink.store(PayloadInput(name="writer", media="text", write=self._write))
        return Production(content=self.content, restore_commands=self.restore_commands)

    def _write(self, pipe: t.BinaryIO) -> None:
        with open(os.path.join(self.folder, "readings"), "a", encoding="ascii") as readings:
            readings.write("writer\n")
        data = self.data[: self.copied]
        pipe.write(data[:-10])
        self.finish()
        pipe.write(data[-10:])


def request(
    source: Source,
    repositories: t.Mapping[str, t.Mapping[str, t.Any]],
    *,
    state_directory: str,
    **changes: t.Any,
) -> BackupRequest:
    """A request to back *source* up to *repositories* (name to description)."""
    options: dict[str, t.Any] = {
        "series": SERIES,
        "engine": "files",
        "make_producer": source.producer,
        "transforms": Transforms(compression=Compression(level=1, threads=1)),
        **changes,
    }
    return BackupRequest(
        repositories=tuple(RepositoryRequest(name=name, description=given) for name, given in repositories.items()),
        state_directory=state_directory,
        **options,
    )


def listed(storage: Storage) -> list[Backup]:
    """The backups that a repository shows; fails when anything in it can't be read."""
    reading = read_catalog({"it": storage})
    assert not reading.problems, [str(problem) for problem in reading.problems]
    return list(reading.backups)


def broken_payloads(storage: Storage) -> list[str]:
    """Every payload of a listed backup that is not, byte for byte, what its manifest says. Reads them all."""
    found = []
    for backup in listed(storage):
        for payload in backup.manifest.payloads:
            key = backup.manifest.folder.key(payload.name)
            digest, size = hashlib.sha256(), 0
            for piece in storage.read(key):
                digest.update(piece)
                size += len(piece)
            if (digest.hexdigest(), size) != (payload.sha256, payload.size):
                found.append(key)
    return found


def leftovers(storage: Storage) -> list[str]:
    """Every object and every unfinished upload of a repository that is no part of a whole backup."""
    keys = [found.key for found in storage.list()]
    parts = {key: parse_key(key) for key in keys}
    whole = {part.folder for part in parts.values() if part is not None and part.folder.manifest_key in keys}
    loose = [key for key, part in parts.items() if part is None or part.folder not in whole]
    return loose + [f"unfinished {upload.key}" for upload in storage.unfinished()]


def tree(folder: str | pathlib.Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder with mode, size and time of change: equal when nothing was touched."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        facts = path.lstat()
        found[str(path)] = (facts.st_mode, facts.st_size if path.is_file() else 0, facts.st_mtime_ns)
    return found
