# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup is asked to be, what it would do, and what became of it: the values of :mod:`backup`."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..catalog.layout import BackupFolder, Series
from ..catalog.manifest import Manifest
from ..core.errors import BackupPartial, LifeboatError, RequestInvalid
from ..core.host import Host
from ..core.state import DEFAULT_STATE_DIRECTORY, StateDirectory
from ..pipeline.producer import Inspection, Producer
from ..pipeline.transforms import Transforms
from ..recovery.questions import Question
from .asking import Asking

#: What sets a job off that makes a backup only when its source has changed.
ON_CHANGE = "change"
#: The same after a deployment; a kind that can't tell whether anything has changed makes a backup always.
ON_DEPLOYMENT = "deployment"


@dataclass(frozen=True)
class RepositoryRequest:
    """A repository of the job: its name and its description (``{type: s3, bucket: ...}``)."""

    name: str
    description: t.Mapping[str, t.Any]


@dataclass(frozen=True)
class ProducerContext:
    """What a producer may need to know of the run."""

    backup_id: str
    state: StateDirectory
    host: Host
    series: Series
    parent: Manifest | None = None  # for kinds that are increments
    is_whole_wanted: bool = False  # build on nothing
    folder: BackupFolder | None = None  # where the backup will lie
    set_of: SetRequest | None = None


ProducerFactory = t.Callable[[ProducerContext], Producer]


@dataclass(frozen=True)
class BackupRequest:
    """One backup that is wanted now.

    *parent_kinds* is given for increments: the newest backup of one of these kinds becomes the parent; with *whole*
    none does.
    With *only_if_changed* nothing is made when the newest backup in every repository has the content hash of the source
    as it is now; the producer must be able to tell. *lock_timeout* is how many seconds to wait for another run of the
    same source. *questions* are asked of the source before and after, over *connection* in the way of its engine,
    *asking*: verifications compare with these answers. *set_of* says what a set consists of.
    """

    series: Series
    engine: str
    repositories: tuple[RepositoryRequest, ...]
    make_producer: ProducerFactory
    transforms: Transforms = field(default_factory=Transforms)
    state_directory: str = DEFAULT_STATE_DIRECTORY
    lock_timeout: float = 0.0
    parent_kinds: tuple[str, ...] = ()
    whole: bool = False
    labels: t.Mapping[str, str] = field(default_factory=dict)
    connection: t.Mapping[str, t.Any] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    asking: Asking | None = None
    only_if_changed: bool = False
    set_of: SetRequest | None = None

    def __post_init__(self) -> None:
        """Raises RequestInvalid for a job without repositories or with one twice."""
        names = [repository.name for repository in self.repositories]
        if not names:
            raise RequestInvalid(
                f"The job {self.job} has no repository, so there is nowhere to put the backup.",
                hint="Name at least one in repositories.",
            )
        if len(set(names)) != len(names):
            raise RequestInvalid(f"The job {self.job} names a repository twice: {', '.join(names)}.")

    @property
    def job(self) -> str:
        """What people call it: service/source/kind."""
        return self.series.folder.rstrip("/")

    @property
    def lock_name(self) -> str:
        """One lock for each source."""
        return f"{self.series.service}.{self.series.source}"

    @property
    def record_name(self) -> str:
        """One file of run records for each job."""
        return f"{self.lock_name}.{self.series.kind}"


@dataclass(frozen=True)
class SetRequest:
    """The *members* that a set has made first, in their order, and what is *left_out* of it, and why."""

    members: tuple[BackupRequest, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class BackupPlan:
    """What the run would do: shown by check mode and by --dry-run."""

    job: str
    engine: str
    inspection: Inspection
    repositories: tuple[t.Mapping[str, t.Any], ...]  # name, url, state (ready or unusable), error, free_bytes
    compression: t.Mapping[str, t.Any] | None
    encryption: t.Mapping[str, t.Any] | None
    parent: str | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "job": self.job,
            "engine": self.engine,
            "steps": list(self.inspection.steps),
            "facts": dict(self.inspection.facts),
            "expected_bytes": self.inspection.expected_bytes,
            "repositories": [dict(repository) for repository in self.repositories],
            "compression": self.compression,
            "encryption": self.encryption,
            "parent": self.parent,
        }


@dataclass(frozen=True)
class BackupResult:
    """What became of the run: the backup exists in at least one repository.

    *is_unchanged* is set when nothing was made, because this backup of before holds what the source is now.
    """

    manifest: Manifest
    repositories: tuple[t.Mapping[str, t.Any], ...]  # name, url, state (complete or failed), error
    progress: t.Mapping[str, t.Any]
    is_unchanged: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether a repository of the job did not get it."""
        return any(repository["state"] != "complete" for repository in self.repositories)

    @property
    def error(self) -> LifeboatError | None:
        """The loud part of a partial result."""
        if not self.is_partial:
            return None
        failed = [repository for repository in self.repositories if repository["state"] != "complete"]
        return BackupPartial(
            f"The backup {self.manifest.backup_id} exists, but not everywhere: "
            + " ".join(f"{entry['name']}: {entry['error']['message']}" for entry in failed),
            hint=next((str(entry["error"]["hint"]) for entry in failed if entry["error"]["hint"]), ""),
            details={"repositories": [dict(entry) for entry in self.repositories]},
        )

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        manifest = self.manifest
        return {
            "id": manifest.backup_id,
            "job": manifest.folder.series.folder.rstrip("/"),
            "engine": manifest.engine,
            "state": "unchanged" if self.is_unchanged else "partial" if self.is_partial else "complete",
            "path": manifest.folder.key(""),
            "parent": manifest.parent,
            "stored_bytes": manifest.stored_bytes,
            "plain_bytes": manifest.plain_bytes,
            "seconds": round(manifest.seconds, 3),
            "bytes_per_second": self.progress.get("bytes_per_second", 0),
            "stages": dict(manifest.stages),
            "repositories": [dict(repository) for repository in self.repositories],
            "payloads": [payload.as_dict() for payload in manifest.payloads],
            "content": dict(manifest.content),
            "warnings": list(manifest.warnings),
        }
