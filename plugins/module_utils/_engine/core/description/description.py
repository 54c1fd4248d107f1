# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One description of what to protect, for inventory, roles, command line and documentation alike."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ..errors import ConfigurationInvalid, ConfigurationUnreadable, JobUnknown, LibraryMissing, RequestInvalid
from .building import build_repositories, build_service, build_settings
from .doubts import description_warnings
from .meaning_problems import meaning_problems
from .model import Job, Repository, Service, Settings, Source
from .problems import Problem, nearest, plain, refusal
from .schema_problems import schema_problems

__all__ = ("Description", "Job", "Repository", "Service", "Settings", "Source", "load_description", "read_description")


@dataclass(frozen=True)
class Description:
    """What to protect, checked. *warnings* are texts on what is allowed and yet probably not meant."""

    repositories: tuple[Repository, ...]
    services: tuple[Service, ...]
    settings: Settings
    warnings: tuple[str, ...] = ()

    def jobs(self, select: t.Sequence[str] = ()) -> tuple[Job, ...]:
        """The jobs in the order of the description; with *select*, those that one of its entries names.

        An entry is a job's id or its beginning: ``family``, ``family/main``, ``family/main/full``. Raises JobUnknown
        naming every entry that selects nothing, and what there is.
        """
        every = tuple(job for service in self.services for source in service.sources for job in source.jobs)
        wanted = [entry.strip().strip("/") for entry in select if entry.strip()]
        unknown = [entry for entry in wanted if not any(_selects(entry, job) for job in every)]
        if unknown:
            raise _unknown_jobs(unknown, every)
        return tuple(job for job in every if not wanted or any(_selects(entry, job) for entry in wanted))

    def require_backups_here(self) -> None:
        """Raises RequestInvalid on a host that only proves or removes what others make."""
        if not self.settings.makes_backups:
            raise RequestInvalid(
                "This host makes no backups: it proves or removes those that other hosts make, and connects to no "
                "database.",
                hint="Run it where they are made. If this is that host: lifeboat_settings: {makes_backups: true}",
            )


def load_description(mapping: t.Mapping[str, t.Any]) -> Description:
    """The description in *mapping*, which has the keys lifeboat_repositories, lifeboat_services, lifeboat_settings.

    Raises ConfigurationInvalid that lists every problem with its place (``details["problems"]`` has them as data), and
    LibraryMissing without ``jsonschema``.
    """
    problems: list[Problem] = []
    data = plain(mapping, problems=problems)
    if not isinstance(data, dict):
        raise ConfigurationInvalid(
            "The description must be a mapping with lifeboat_repositories and lifeboat_services.",
            hint="See docs/description.md for an example.",
        )
    problems += schema_problems(data)
    known = {(problem.path, problem.text) for problem in problems}
    problems += [problem for problem in meaning_problems(data) if (problem.path, problem.text) not in known]
    if problems:
        raise refusal(problems, data)
    settings = build_settings(data.get("lifeboat_settings", {}))
    repositories = build_repositories(data["lifeboat_repositories"])
    by_name = {repository.name: repository for repository in repositories}
    services = tuple(
        build_service(service, repositories=by_name, settings=settings) for service in data["lifeboat_services"]
    )
    warnings = description_warnings(
        repositories=data["lifeboat_repositories"],
        services=services,
        raw_services=data["lifeboat_services"],
        makes_backups=settings.makes_backups,
    )
    return Description(
        repositories=repositories, services=services, settings=settings, warnings=tuple(dict.fromkeys(warnings))
    )


def read_description(path: str) -> Description:
    """The description in the YAML or JSON file *path*.

    Raises ConfigurationUnreadable when the file can't be read or is neither, ConfigurationInvalid for what is in it.
    """
    return load_description(_parse(_read(path), path))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ConfigurationUnreadable(
            f"The description {path} can't be read: {error.strerror}.", hint=f"Run: ls -l {path}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationUnreadable(
            f"The description {path} is not UTF-8 text: byte {error.start} is wrong.", hint=f"Run: file {path}"
        ) from error


def _parse(text: str, path: str) -> t.Any:
    if path.endswith(".json"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigurationUnreadable(
                f"The description {path} is not JSON: {error}.", hint=f"Run: python3 -m json.tool {path}"
            ) from error
    try:
        import yaml
    except ImportError as error:
        raise LibraryMissing(
            "The Python library PyYAML is needed to read the description.",
            hint="Install it for the interpreter that runs Lifeboat: pip install PyYAML   Or give a .json file.",
        ) from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationUnreadable(
            f"The description {path} is not YAML: {_yaml_reason(error)}",
            hint="Look at that line: a schedule must be in quotes, indentation is by spaces.",
        ) from error


def _yaml_reason(error: Exception) -> str:
    """What and where, without the excerpt of the file that PyYAML adds: it may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or type(error).__name__
    return f"{reason} (line {mark.line + 1}, column {mark.column + 1})." if mark is not None else f"{reason}."


def _selects(entry: str, job: Job) -> bool:
    return job.id == entry or job.id.startswith(entry + "/")


def _unknown_jobs(unknown: t.Sequence[str], every: t.Sequence[Job]) -> JobUnknown:
    there = [job.id for job in every]
    beginnings = {"/".join(job_id.split("/")[:depth]) for job_id in there for depth in (1, 2, 3)}
    guess = nearest(unknown[0], sorted(beginnings))
    return JobUnknown(
        f"No job is called {' or '.join(repr(entry) for entry in unknown)}{'; ' + guess if guess else '.'}",
        hint=f"Jobs: {', '.join(there) or 'none'}. A beginning (service, service/source) selects all below it.",
        details={"unknown": list(unknown), "jobs": there},
    )
