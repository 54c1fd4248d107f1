# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From plain JSON values that were checked to the model."""

from __future__ import annotations

import dataclasses
import typing as t

from .duration import parse_duration
from .job_names import job_names
from .keep import KeepPolicy, keep_policy_from
from .kinds import SET_KIND, is_runnable, made_kind, stream_owner
from .model import DataClass, Job, Json, Objectives, Repository, RepositoryUse, Service, Settings, Source
from .schedule import parse_schedule
from .set_members import choose_members
from .stream_problems import SHARED

_SURROUNDINGS = (
    "description",
    "applications",
    "approvals",
    "regions",
    "dns",
    "alerts",
    "exercises",
    "reports",
    "communication",
    "notifications",
    "degraded_mode",
    "failover",
)


def build_repositories(data: Json) -> tuple[Repository, ...]:
    """The repositories of ``lifeboat_repositories``."""
    return tuple(
        Repository(
            name=name,
            type=repository["type"],
            # The note is for people; storage refuses keys that it doesn't know.
            description={key: value for key, value in repository.items() if key != "description"},
        )
        for name, repository in data.items()
    )


def build_settings(data: Json) -> Settings:
    """The settings of ``lifeboat_settings``, defaults filled in."""
    defaults = Settings()
    return Settings(
        state_directory=data.get("state_directory", defaults.state_directory),
        timezone=data.get("timezone", defaults.timezone),
        compression={**defaults.compression, **data.get("compression", {})},
        encryption=_encryption(data.get("encryption", {})),
        decryption=data.get("decryption", {}),
        scratch_directory=data.get("scratch_directory", defaults.scratch_directory),
        scratch_memory_mib=int(data.get("scratch_memory_mib", defaults.scratch_memory_mib)),
        makes_backups=data.get("makes_backups", defaults.makes_backups),
    )


def build_service(data: Json, *, repositories: t.Mapping[str, Repository], settings: Settings) -> Service:
    """One entry of ``lifeboat_services``."""
    objectives = _objectives(data.get("objectives", {}))
    sources = tuple(
        _source(item, service=data["name"], objectives=objectives, repositories=repositories, settings=settings)
        for item in data["sources"]
    )
    every = tuple(job for source in sources for job in source.jobs)
    return Service(
        name=data["name"],
        objectives=objectives,
        classes=tuple(
            DataClass(
                name=item["name"],
                title=item.get("title", item["name"]),
                covers=tuple(item["covers"]),
                objectives=_objectives(item),
            )
            for item in data.get("classes", ())
        ),
        sources=tuple(
            dataclasses.replace(source, jobs=tuple(_with_members(job, every) for job in source.jobs))
            for source in sources
        ),
        surroundings={key: data[key] for key in _SURROUNDINGS if key in data},
    )


def _with_members(job: Job, every: t.Sequence[Job]) -> Job:
    if (job.engine, job.kind) != ("files", SET_KIND):
        return job
    chosen = choose_members(job, every)
    return dataclasses.replace(job, members=chosen.jobs, left_out=chosen.left_out)


def _source(
    data: Json, *, service: str, objectives: Objectives, repositories: t.Mapping[str, Repository], settings: Settings
) -> Source:
    # A service's objectives are those of its databases; files have objectives where they say so.
    inherited = Objectives() if data["engine"] == "files" else objectives
    own = _objectives(data.get("objectives", {})).over(inherited)
    names = job_names(data["backups"])
    return Source(
        name=data["name"],
        engine=data["engine"],
        connection=data.get("connection", {}),
        classes=tuple(data.get("classes", ())),
        objectives=own,
        jobs=tuple(
            _job(
                backup,
                job_id=f"{service}/{data['name']}/{name}",
                service=service,
                source=data,
                objectives=own,
                repositories=repositories,
                settings=settings,
            )
            for name, backup in zip(names, _as_captured(data))
        ),
        standbys=tuple(data.get("standbys", ())),
        verify=data.get("verify", {}),
        service_control=data.get("service_control", {}),
        redeploy=tuple(data.get("redeploy", ())),
        fencing=data.get("fencing", {}),
        spares=tuple(data.get("spares", ())),
        region_loss=data.get("region_loss", "move"),
    )


def _as_captured(source: Json) -> t.Iterator[Json]:
    """The backups of a source; those that share a stream with what the first of them says about it."""
    backups = source["backups"]
    kinds = [one["kind"] for one in backups]
    for backup in backups:
        owner = stream_owner(kinds, engine=source["engine"], kind=backup["kind"])
        shared = {} if owner is None else {key: backups[owner][key] for key in SHARED if key in backups[owner]}
        yield {**backup, **shared}


def _job(
    data: Json,
    *,
    job_id: str,
    service: str,
    source: Json,
    objectives: Objectives,
    repositories: t.Mapping[str, Repository],
    settings: Settings,
) -> Job:
    keep = keep_policy_from(data["keep"]) if "keep" in data else None
    timezone = data.get("timezone", settings.timezone)
    kind = made_kind(engine=source["engine"], kind=data["kind"])
    return Job(
        id=job_id,
        service=service,
        source=source["name"],
        engine=source["engine"],
        kind=kind,
        connection=source.get("connection", {}),
        options=data.get("options", {}),
        repositories=tuple(_use(item, keep=keep, repositories=repositories) for item in data["repositories"]),
        compression={**settings.compression, **data.get("compression", {})},
        encryption=_encryption(data["encryption"]) if "encryption" in data else settings.encryption,
        schedule=parse_schedule(data["schedule"], timezone=timezone) if "schedule" in data else None,
        triggers=tuple(data.get("triggers", ())),
        timezone=timezone,
        keep=keep,
        objectives=_objectives(data.get("objectives", {})).over(objectives),
        state_directory=settings.state_directory,
        runnable=is_runnable(engine=source["engine"], kind=kind),
        questions=tuple(question for question in source.get("verify", {}).get("questions", ()) if _is_noted(question)),
    )


def _is_noted(question: Json) -> bool:
    rules = (question.get("within_percent_of", {}), question.get("within_count_of", {}))
    return any(rule.get("reference") == "noted" for rule in rules)


def _use(item: t.Any, *, keep: KeepPolicy | None, repositories: t.Mapping[str, Repository]) -> RepositoryUse:
    name = item if isinstance(item, str) else item["name"]
    own = keep if isinstance(item, str) or "keep" not in item else keep_policy_from(item["keep"])
    # The checks made sure that one of the two is there.
    return RepositoryUse(name=name, description=repositories[name].description, keep=t.cast(KeepPolicy, own))


def _encryption(data: Json) -> Json:
    """The form that the pipeline reads: recipients, recipients_file, or nothing at all."""
    return {key: data[key] for key in ("recipients", "recipients_file") if key in data}


def _objectives(data: Json) -> Objectives:
    return Objectives(
        rpo=parse_duration(data["rpo"]) if "rpo" in data else None,
        rto=parse_duration(data["rto"]) if "rto" in data else None,
        window=parse_duration(data["window"]) if "window" in data else None,
    )
