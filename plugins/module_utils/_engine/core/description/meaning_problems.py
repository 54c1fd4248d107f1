# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the JSON Schema can't see: names that are taken or lead nowhere, policies that keep nothing.

Every check takes whatever was written, also where the schema already complains, so that all problems are told at once.
"""

from __future__ import annotations

import typing as t

from ..errors import ConfigurationInvalid
from .announcement_problems import announcement_problems
from .approval_problems import approval_problems
from .degraded_problems import degraded_problems
from .dns_problems import dns_problems
from .fencing_problems import fencing_problems
from .job_names import job_names
from .keep import keep_policy_from
from .kinds import KINDS
from .kubernetes_problems import kubernetes_problems
from .notification_problems import notification_problems, secrets_given_twice
from .problems import Path, Problem, nearest
from .reading import Entry, entries, mapping, text_at
from .references import reference_problems, unique_name_problems
from .schema_problems import check_name
from .set_problems import set_problems
from .stream_problems import stream_problems
from .version_control import is_version_control

_SECRETS = ("uri", "password", "token")
_QUESTION_ENGINES = {
    "sql": "postgresql", "count": "mongodb", "find": "mongodb", "aggregate": "mongodb", "redis": "redis",
    "require_collections": "mongodb", "require_tables": "postgresql", "require_paths": "files",
}  # fmt: skip


def meaning_problems(data: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Everything in *data* (plain JSON values) that can't be meant."""
    repositories = mapping(data.get("lifeboat_repositories"))
    yield from _repositories(repositories)
    yield from _encryption(mapping(data.get("lifeboat_settings")), ("lifeboat_settings",))
    services = entries(data, (), "lifeboat_services")
    yield from unique_name_problems(services)
    for service in services:
        yield from reference_problems(service)
        for application in entries(service.data, service.path, "applications"):
            yield from _stopped_and_started(application.data, application.path)
        yield from notification_problems(service)
        yield from dns_problems(service)
        yield from approval_problems(service)
        yield from degraded_problems(service)
        yield from announcement_problems(service)
        yield from kubernetes_problems(service)
        sources = entries(service.data, service.path, "sources")
        yield from unique_name_problems(sources)
        for source in sources:
            yield from _source(source, repositories)


def _repositories(repositories: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    for name, repository in repositories.items():
        path: Path = ("lifeboat_repositories", name)
        try:
            check_name(name)
        except ConfigurationInvalid as error:
            yield Problem(path, error.message, error.hint)
        location = text_at(mapping(repository), "path")
        if location is not None and not location.startswith("/"):
            yield Problem((*path, "path"), "is not an absolute path.", "Begin it with a slash.")


def _source(source: Entry, repositories: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    engine = text_at(source.data, "engine")
    yield from secrets_given_twice(mapping(source.data.get("connection")), (*source.path, "connection"), _SECRETS)
    yield from _stopped_and_started(mapping(source.data.get("service_control")), (*source.path, "service_control"))
    for copies in ("standbys", "spares"):
        named = entries(source.data, source.path, copies)
        yield from unique_name_problems(named)
        for one in named:
            yield from secrets_given_twice(mapping(one.data.get("connection")), (*one.path, "connection"), _SECRETS)
    for spare in entries(source.data, source.path, "spares"):
        yield from _stopped_and_started(mapping(spare.data.get("service_control")), (*spare.path, "service_control"))
        if spare.data.get("ahead") and mapping(spare.data.get("options")).get("in_place") is False:
            yield Problem(
                (*spare.path, "ahead"),
                "goes with a restore in place only: beside it, a second time would find the first one there.",
                "Leave out options.in_place, or ahead.",
            )
    if engine == "files":
        yield from _absolute_paths(source)
    elif engine is not None and "redeploy" in source.data:
        yield Problem(
            (*source.path, "redeploy"),
            "is for files.",
            "A database's server is stopped and started by service_control.",
        )
    verify = mapping(source.data.get("verify"))
    yield from _questions(verify, (*source.path, "verify"), engine)
    backups = entries(source.data, source.path, "backups")
    yield from _job_names(backups, engine)
    yield from set_problems(source, repositories)
    yield from stream_problems(source)
    yield from fencing_problems(source, repositories)
    for backup in backups:
        yield from _encryption(backup.data, backup.path)
        yield from _backup(backup, engine, repositories)


def _absolute_paths(source: Entry) -> t.Iterator[Problem]:
    for key in ("paths", "optional_paths"):
        paths = mapping(source.data.get("connection")).get(key)
        for index, path in enumerate(paths if isinstance(paths, list) else ()):
            if isinstance(path, str) and path and not path.startswith("/"):
                yield Problem(
                    (*source.path, "connection", key, index), "is not an absolute path.", "Begin it with a slash."
                )


def _job_names(backups: t.Sequence[Entry], engine: str | None) -> t.Iterator[Problem]:
    names = job_names([backup.data for backup in backups])
    for position, (backup, name) in enumerate(zip(backups, names)):
        given = text_at(backup.data, "name")
        if name and name in names[:position]:
            yield Problem(
                backup.path, f"is the second backup of the source that is called {name!r}.", "Give it another name."
            )
        elif given in KINDS.get(engine or "", ()) and given != backup.data.get("kind"):
            yield Problem(
                (*backup.path, "name"), f"{given!r} is the name of another kind.", "Choose a name that is no kind."
            )


def _backup(backup: Entry, engine: str | None, repositories: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    has_keep = "keep" in backup.data
    if has_keep:
        yield from _keep(backup.data["keep"], (*backup.path, "keep"))
    listed = backup.data.get("repositories")
    seen: set[str] = set()
    for index, item in enumerate(listed if isinstance(listed, list) else ()):
        path: Path = (*backup.path, "repositories", index)
        name = text_at(item, "name") if isinstance(item, dict) else item
        if not isinstance(name, str):
            continue
        if name not in repositories:
            guess = nearest(name, repositories)
            there = ", ".join(repositories) or "none"
            text = f"there is no repository {name[:63]!r}{'; ' + guess if guess else '.'}"
            yield Problem(path, text, f"lifeboat_repositories has: {there}.")
        elif name in seen:
            yield Problem(path, f"names the repository {name!r} a second time.")
        elif engine not in (None, "files") and is_version_control(mapping(repositories[name])):
            yield Problem(
                path, f"{name!r} is a git repository, which can't hold {engine} backups.", "Use type file or s3."
            )
        seen.add(name)
        if isinstance(item, dict) and "keep" in item:
            yield from _keep(item["keep"], (*path, "keep"))
        elif not has_keep:
            yield Problem(
                path,
                f"nothing says how long {name[:63]!r} keeps these backups.",
                "Add keep to the backup or the repository: {within: 30d}, {daily: 7, monthly: 12}, {forever: true}.",
            )


def _keep(keep: t.Any, path: Path) -> t.Iterator[Problem]:
    if not isinstance(keep, dict):
        return
    try:
        keep_policy_from(keep)
    except ConfigurationInvalid as error:
        # The rest is the schema's: unknown keys, counts that are none, lengths of time.
        if "nothing to keep" in error.message or "contradicts" in error.message:
            yield Problem(path, error.message, error.hint)


def _encryption(holder: t.Mapping[str, t.Any], path: Path) -> t.Iterator[Problem]:
    encryption = holder.get("encryption")
    if not isinstance(encryption, dict) or not encryption:
        return
    given = [key for key in ("recipients", "recipients_file") if key in encryption]
    place: Path = (*path, "encryption")
    if encryption.get("method") == "none" and given:
        yield Problem(place, f"method none contradicts {' and '.join(given)}.", "Remove one or the other.")
    elif encryption.get("method") == "age" and not given:
        yield Problem(place, "names no recipient.", "Give recipients: [age1...] or recipients_file.")


def _questions(verify: t.Mapping[str, t.Any], path: Path, engine: str | None) -> t.Iterator[Problem]:
    questions = entries(verify, path, "questions")
    yield from unique_name_problems(questions)
    yield from _wrong_engine(verify, path, engine)
    for question in questions:
        yield from _wrong_engine(question.data, question.path, engine)


def _wrong_engine(holder: t.Mapping[str, t.Any], path: Path, engine: str | None) -> t.Iterator[Problem]:
    for key, fitting in _QUESTION_ENGINES.items():
        if key in holder and engine in KINDS and engine != fitting:
            yield Problem((*path, key), f"is for {fitting}, and the source is {engine}.")


def _stopped_and_started(holder: t.Mapping[str, t.Any], path: Path) -> t.Iterator[Problem]:
    given = [key for key in ("stop_command", "start_command") if key in holder]
    if len(given) == 1:
        other = "start_command" if given == ["stop_command"] else "stop_command"
        yield Problem((*path, given[0]), f"is of no use without {other}.", f"Add {other}.")
    if "role" in holder and not given and "unit" not in holder:
        yield Problem(
            (*path, "role"),
            "says how it starts, and nothing says how it is stopped.",
            "Add unit, or stop_command and start_command.",
        )
    if given and "unit" in holder:
        yield Problem((*path, given[0]), "contradicts unit.", "Give a unit or commands, not both.")
