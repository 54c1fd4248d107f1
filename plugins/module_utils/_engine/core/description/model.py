# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a description that was found good."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from .duration import format_duration
from .keep import KeepPolicy
from .kinds import SET_KIND
from .schedule import Schedule
from .version_control import is_version_control

Json = t.Mapping[str, t.Any]
# What an object lock says instead of a time.
_BY_POLICY = "policy"


@dataclass(frozen=True)
class Objectives:
    """What a recovery must achieve: the longest loss (*rpo*) and the longest time until it works again (*rto*).

    *window* is how far back any moment must be recoverable, for sources with a stream.
    """

    rpo: datetime.timedelta | None = None
    rto: datetime.timedelta | None = None
    window: datetime.timedelta | None = None

    def over(self, other: Objectives) -> Objectives:
        """These objectives, and *other*'s where these are silent."""
        return Objectives(rpo=self.rpo or other.rpo, rto=self.rto or other.rto, window=self.window or other.window)

    def as_dict(self) -> dict[str, str]:
        """As JSON values: ``{"rpo": "15m", "rto": "1h", "window": "7d"}``, without those that are not given."""
        given = {"rpo": self.rpo, "rto": self.rto, "window": self.window}
        return {name: format_duration(value) for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class DataClass:
    """Data or functions that share objectives of their own."""

    name: str
    title: str
    covers: tuple[str, ...]
    objectives: Objectives


@dataclass(frozen=True)
class Repository:
    """A place for backups. *description* is what ``storage`` opens: type, path, bucket ..., secrets by reference."""

    name: str
    type: str
    description: Json

    @property
    def is_version_control(self) -> bool:
        """Whether it holds configuration and code and no catalog."""
        return is_version_control(self.description)


@dataclass(frozen=True)
class RepositoryUse:
    """A repository of a job, and how long it keeps the job's backups."""

    name: str
    description: Json
    keep: KeepPolicy

    @property
    def is_version_control(self) -> bool:
        """Whether it holds configuration and code and no catalog."""
        return is_version_control(self.description)

    @property
    def written(self) -> Json:
        """The description for whoever stores the job's backups: see :func:`written_description`."""
        within = self.keep.within
        return written_description(self.description, within=None if within is None else format_duration(within))

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"name": self.name, "description": dict(self.description), "keep": self.keep.as_dict()}


def written_description(description: Json, *, within: str | None) -> Json:
    """Of a repository whose objects are locked as the policy says: locked as long as that keeps them by age.

    Without *within* no object has a date until which it stays, and none is locked.
    """
    lock = description.get("object_lock")
    if within is None or not isinstance(lock, dict) or lock.get("retain") != _BY_POLICY:
        return description
    return {**description, "object_lock": {**lock, "retain": within}}


@dataclass(frozen=True)
class Settings:
    """What holds for every job. *compression* and *encryption* have the form that ``pipeline`` reads.

    Without *makes_backups* the host only proves or removes what other hosts make.
    """

    state_directory: str = "/var/lib/lifeboat"
    timezone: str = "UTC"
    compression: Json = field(default_factory=lambda: {"method": "zstd", "level": 1, "threads": 0})
    encryption: Json = field(default_factory=dict)
    decryption: Json = field(default_factory=dict)
    scratch_directory: str = "/var/tmp/lifeboat"  # noqa: S108 its folders are made anew, with random names
    scratch_memory_mib: int = 1024
    makes_backups: bool = True


@dataclass(frozen=True)
class Job:
    """One kind of backup of one source: what a schedule starts and what the operator selects.

    *id* is ``service/source/kind``, with ``.2`` for the second backup of that kind, or the backup's name for the kind.
    *connection* and *options* are as written (secrets by reference stay references). *encryption* is empty for none.
    *schedule* is None when only *triggers* or somebody start it. *runnable* says whether this version can make it.
    *questions* are those of the source's verification that are compared with the answer at backup time, as written.
    *members* are the jobs that a set (kind ``system``) consists of, *left_out* says what is not in it, and why.
    """

    id: str
    service: str
    source: str
    engine: str
    kind: str
    connection: Json
    options: Json
    repositories: tuple[RepositoryUse, ...]
    compression: Json
    encryption: Json
    schedule: Schedule | None
    triggers: tuple[str, ...]
    timezone: str
    keep: KeepPolicy | None
    objectives: Objectives
    state_directory: str
    runnable: bool
    questions: tuple[Json, ...] = ()
    members: tuple[Job, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def longest_kept(self) -> datetime.timedelta | None:
        """How long all of it stays in the repository that keeps it longest; None: for ever, or that is not said."""
        keeps = [use.keep for use in self.repositories if not use.is_version_control]
        if any(keep.forever or keep.within is None for keep in keeps):
            return None
        return max((keep.within for keep in keeps if keep.within is not None), default=None)

    def describe_schedule(self) -> str:
        """When it runs, in words: ``daily at 02:00``, ``on change, and Sunday at 03:00``, ``on request``."""
        words = []
        if "continuous" in self.triggers:
            words.append("continuously")
        events = [trigger for trigger in self.triggers if trigger != "continuous"]
        if events:
            words.append(f"on {' and '.join(events)}")
        if self.schedule is not None:
            words.append(self.schedule.describe())
        return ", and ".join(words) or "on request"

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values. What was given by value in the description is in it, so give secrets by reference."""
        return {
            "id": self.id,
            "service": self.service,
            "source": self.source,
            "engine": self.engine,
            "kind": self.kind,
            "connection": dict(self.connection),
            "options": dict(self.options),
            "repositories": [repository.as_dict() for repository in self.repositories],
            "compression": dict(self.compression),
            "encryption": dict(self.encryption),
            "schedule": None if self.schedule is None else self.schedule.expression,
            "schedule_in_words": self.describe_schedule(),
            "triggers": list(self.triggers),
            "timezone": self.timezone,
            "keep": None if self.keep is None else self.keep.as_dict(),
            "objectives": self.objectives.as_dict(),
            "state_directory": self.state_directory,
            "runnable": self.runnable,
            "questions": [dict(question) for question in self.questions],
            "members": [member.id for member in self.members],
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True)
class Source:
    """One database server or set of files. *verify*, *standbys*, *spares*, *service_control* and *fencing* are as
    written, *redeploy* is the command that is run after a restore of files in place. *region_loss* is ``move`` or
    ``leave``.
    """

    name: str
    engine: str
    connection: Json
    classes: tuple[str, ...]
    objectives: Objectives
    jobs: tuple[Job, ...]
    standbys: tuple[Json, ...] = ()
    verify: Json = field(default_factory=dict)
    service_control: Json = field(default_factory=dict)
    redeploy: tuple[str, ...] = ()
    fencing: Json = field(default_factory=dict)
    spares: tuple[Json, ...] = ()
    region_loss: str = "move"

    @property
    def has_only_sets(self) -> bool:
        """Whether it has no data of its own, but sets of backups of other sources."""
        return bool(self.jobs) and all((job.engine, job.kind) == ("files", SET_KIND) for job in self.jobs)


@dataclass(frozen=True)
class Service:
    """A service. *surroundings* holds, as written: description, applications, approvals, regions, dns, alerts,
    exercises, reports, communication, notifications, degraded_mode and failover.
    """

    name: str
    objectives: Objectives
    classes: tuple[DataClass, ...]
    sources: tuple[Source, ...]
    surroundings: Json = field(default_factory=dict)
