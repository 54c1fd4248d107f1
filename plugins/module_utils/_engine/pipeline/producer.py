# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database room and the backup operation agree on.

A *producer* knows one kind of backup of one source. It first inspects (reads only, refuses early), then produces
payloads into a *payload sink*, which compresses, encrypts, hashes and stores them in every repository at once.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.errors import LifeboatError
from ..core.progress import Progress

#: The key of a manifest's content under which producers that can tell changes note the content hash of their source.
FINGERPRINT = "fingerprint"


@dataclass(frozen=True)
class Inspection:
    """What a look at the source found, before anything is changed anywhere.

    *facts* are JSON values about the server (versions, roles, sizes) for the plan and the manifest; *expected_bytes*
    is an estimate of the plain bytes to come, 0 when unknown; *steps* says in words what produce() will do, for
    check mode. *whole_because* is set by a producer that was given a backup to build on, and makes a whole one all the
    same: the reason.
    """

    facts: t.Mapping[str, t.Any]
    steps: tuple[str, ...]
    expected_bytes: int = 0
    whole_because: str = ""


@dataclass(frozen=True)
class PayloadInput:
    """Where a payload's plain bytes come from: exactly one of *argv* (a process's standard output), *write* (a
    function that writes them to a file object) or *file* (a descriptor, read from its current position).

    *name* is the plain file's name ("dump.archive"); suffixes for compression and encryption are added by the sink.
    *media* says what it is, for people and for verification ("mongodump archive", "pg_dump custom").
    *on_stderr* takes the lines that the process prints on standard error, while it runs. *pass_descriptors* stay
    open in the process, for secrets that are handed over as /dev/fd/N.
    *compressed* is set when the bytes don't gain from compression, so none is done.
    """

    name: str
    media: str
    argv: tuple[str, ...] = ()
    environment: t.Mapping[str, str] = field(default_factory=dict)
    pass_descriptors: tuple[int, ...] = ()
    on_stderr: t.Callable[[str], None] | None = None
    write: t.Callable[[t.BinaryIO], None] | None = None
    file: int | None = None
    expected_bytes: int = 0
    compressed: bool = False


@dataclass(frozen=True)
class StoredPayload:
    """One payload as it lies in the repositories.

    *name* is the stored file's name beside the manifest ("dump.archive.zst.age"), *size* and *sha256* are those of
    the stored bytes; *plain_size* counts the bytes before compression, None when it could not be told.
    """

    name: str
    media: str
    size: int
    sha256: str
    plain_size: int | None
    compression: str | None  # "zstd" or None
    encryption: str | None  # "age" or None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, the form in the manifest."""
        return {
            "name": self.name,
            "media": self.media,
            "size": self.size,
            "sha256": self.sha256,
            "plain_size": self.plain_size,
            "compression": self.compression,
            "encryption": self.encryption,
        }


class PayloadSink(t.Protocol):
    """Takes payloads of one backup, one after the other."""

    def store(self, payload: PayloadInput) -> StoredPayload:
        """Stream one payload into every repository that still works.

        Returns when it is durable there. Raises PipelineFailed when a process of the pipeline failed, whatever the
        input raised, and StorageAllFailed when no repository is left; then nothing of it is visible.
        """


class SelectiveSink(PayloadSink, t.Protocol):
    """A sink of which single repositories can be left out while the others go on."""

    def leave_out(self, repository: str, error: LifeboatError) -> None:
        """Store nothing more in the repository of that name, and remove what this run stored there.

        Raises StorageAllFailed when no repository is left.
        """

    def leave_out_lacking(self, folders: t.Sequence[str]) -> None:
        """The same for every repository in which one of these folders (keys that end in a slash) is no backup."""


@dataclass(frozen=True)
class Production:
    """What the producer made, for the manifest and RESTORE.md.

    *content* describes it in JSON values in the room's own words (positions, databases, counts); *restore_commands*
    is the body of RESTORE.md after "fetch, check, decrypt, decompress": Markdown with stock tools only, in which
    ``{fetch:NAME}`` stands for the shell pipe that prints the plain bytes of the payload whose plain name is NAME.
    """

    content: t.Mapping[str, t.Any]
    restore_commands: str


class Producer(t.Protocol):
    """One kind of backup of one source. ``engine`` and ``kind`` name its place in the repository."""

    engine: str
    kind: str

    def inspect(self) -> Inspection:
        """Connect, read the facts, refuse what can't become a good backup. Changes nothing."""

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make the backup. Anything raised aborts it; whatever was opened on the source is closed again."""


class ChangeAwareProducer(Producer, t.Protocol):
    """A producer that can tell whether its source differs from what an earlier backup holds."""

    def fingerprint(self, *, progress: Progress) -> str:
        """What :data:`FINGERPRINT` of a backup made now would be. Reads the source, stores nothing."""
