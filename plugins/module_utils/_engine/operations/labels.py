# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a recovery label for all sources of a service at one instant, and reading those that there are."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..catalog.catalog import Selection, read_catalog
from ..catalog.set_members import is_set
from ..catalog.standing import FAILED
from ..core.errors import LabelExists, LabelInvalid, LifeboatError, StorageExists, StorageNotFound
from ..core.host import Host
from ..core.parallel import at_the_same_time
from ..mongodb.label_mark import mark as mark_mongodb
from ..postgresql.label_mark import mark as mark_postgresql
from ..recovery.label import Label, LabelledFiles, LabelPoint, Mark, label_key, labels_folder, parse_label
from ..redis.label_mark import mark as mark_redis
from ..storage.base import Storage

_MARKS: t.Mapping[str, Mark] = {"mongodb": mark_mongodb, "postgresql": mark_postgresql, "redis": mark_redis}


@dataclass(frozen=True)
class LabelSource:
    """A source of the service and how to reach it."""

    name: str
    engine: str
    connection: t.Mapping[str, t.Any]


@dataclass(frozen=True)
class LabelResult:
    """A label, in which repositories it is, and which did not take it, with the reason."""

    label: Label
    repositories: tuple[str, ...]
    errors: t.Mapping[str, LifeboatError]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "label": self.label.as_dict(),
            "repositories": list(self.repositories),
            "errors": {name: error.as_dict() for name, error in self.errors.items()},
        }


def can_label(engine: str) -> bool:
    """Whether sources of that engine have a point in time to be labelled."""
    return engine in _MARKS


def make_label(
    name: str,
    *,
    service: str,
    sources: t.Sequence[LabelSource],
    files: t.Sequence[str] = (),
    storages: t.Mapping[str, Storage],
    host: Host,
) -> LabelResult:
    """Mark every source at the same time, then store the label in every repository that takes it.

    *files* are the names of sources of files, of which the newest whole backup becomes a part of the label.

    Raises LabelInvalid, LabelExists before anything is marked, the first error of a source (then there is no label),
    and the last error of a repository when none took it.
    """
    require_new_label(name, service=service, storages=storages)
    # Before the instant: reading catalogs takes longer than marking.
    labelled = newest_files(files, service=service, storages=storages, host=host)
    points = mark_sources(name, service=service, sources=sources, host=host)
    label = Label(name=name, service=service, host=host.name, points=points, files=labelled)
    return store_label(label, storages=storages)


def mark_sources(name: str, *, service: str, sources: t.Sequence[LabelSource], host: Host) -> tuple[LabelPoint, ...]:
    """Mark every source at the same time. Raises LabelInvalid without sources, and the first error of one."""
    if not sources:
        raise LabelInvalid(
            f"{service} has no source with a point in time.", hint="A label needs PostgreSQL, MongoDB or Redis."
        )
    futures = at_the_same_time([_marking(source, name=name, host=host) for source in sources])
    return tuple(one.result() for one in futures)


def newest_files(
    names: t.Sequence[str], *, service: str, storages: t.Mapping[str, Storage], host: Host
) -> tuple[LabelledFiles, ...]:
    """The newest whole backup of each source of files that is named; one without any is a warning."""
    found: list[LabelledFiles] = []
    for name in names:
        selection = Selection(service=service, source=name, engine="files")
        backups = [one for one in read_catalog(storages, selection=selection).backups if not is_set(one.manifest)]
        whole = [one.manifest for one in backups if one.state != FAILED]
        if not whole:
            host.journal.warning(
                f"{service}/{name} has no backup, so its files are no part of the label. "
                f"Make one first: lifeboat backup {service}/{name}"
            )
            continue
        newest = max(whole, key=lambda manifest: (manifest.finished, manifest.backup_id))
        found.append(
            LabelledFiles(
                source=name,
                kind=newest.kind,
                backup_id=newest.backup_id,
                finished=newest.finished,
                manifest_checksum=str(newest.as_dict()["checksum"]),
            )
        )
    return tuple(found)


def label_of_hosts(
    name: str,
    *,
    service: str,
    points: t.Sequence[LabelPoint],
    skew: float | None = None,
    files: t.Sequence[LabelledFiles] = (),
) -> Label:
    """One label of what several hosts have marked; the same bytes on whichever of them it is put together.

    *skew* is how long all of it took, in seconds of one clock. Raises LabelInvalid without points, for a source that
    was marked twice, and where points of several hosts come without a measured skew.
    """
    ordered = tuple(sorted(points, key=lambda point: (point.source, point.host)))
    twice = sorted({one.source for one, other in zip(ordered, ordered[1:]) if one.source == other.source})
    hosts = sorted({point.host for point in ordered})
    if not ordered or twice:
        raise LabelInvalid(
            f"{service}/{twice[0]} was marked twice: on {' and '.join(hosts)}." if twice else "There are no points.",
            hint="Describe each source on one host, or name the hosts: ansible-playbook --limit HOST",
        )
    if len(hosts) > 1 and skew is None:
        raise LabelInvalid(
            f"{' and '.join(hosts)} have a clock each, and nobody says how far apart the points are.",
            hint="Give skew_seconds: how long marking them took, by one clock.",
        )
    return Label(
        name=name,
        service=service,
        host=", ".join(hosts),
        points=ordered,
        measured_skew=round(skew, 6) if skew is not None and len(hosts) > 1 else None,
        files=tuple(sorted(files, key=lambda one: (one.source, one.backup_id))),
    )


def store_label(label: Label, *, storages: t.Mapping[str, Storage]) -> LabelResult:
    """Store it in every repository that takes it, or find it there. Raises the first error when none took it."""
    stored: list[str] = []
    errors: dict[str, LifeboatError] = {}
    for repository, storage in storages.items():
        try:
            storage.put(label.key, label.as_bytes())
            stored.append(repository)
        except StorageExists as error:
            # An earlier try of ours whose answer was lost, or another host that stores the same label.
            if _holds(storage, label):
                stored.append(repository)
            else:
                errors[repository] = error
        except LifeboatError as error:
            errors[repository] = error
    if not stored:
        raise next(iter(errors.values()))
    return LabelResult(label=label, repositories=tuple(stored), errors=errors)


def _holds(storage: Storage, label: Label) -> bool:
    try:
        return storage.get(label.key) == label.as_bytes()
    except LifeboatError:
        return False  # credentials that may only write: nobody here can tell


def require_new_label(name: str, *, service: str, storages: t.Mapping[str, Storage]) -> None:
    """Raise LabelInvalid for what can't be a name, and LabelExists when a repository has a label of that name."""
    key = label_key(service, name)
    for repository, storage in storages.items():
        try:
            storage.stat(key)
        except StorageNotFound:
            continue
        except LifeboatError:
            continue  # whether it takes the label shows when it is stored
        raise LabelExists(
            f"There is a label {name} already, in {repository}; a name means one instant.",
            hint="Take another name: lifeboat label SERVICE NAME",
            details={"key": key, "repository": repository},
        )


def read_labels(
    service: str, *, storages: t.Mapping[str, Storage]
) -> tuple[tuple[Label, ...], tuple[LifeboatError, ...]]:
    """The labels of a service in order of time, and what could not be read."""
    found: dict[str, Label] = {}
    problems: list[LifeboatError] = []
    for storage in storages.values():
        try:
            for one in storage.list(labels_folder(service)):
                if one.key not in found and one.key.endswith(".json"):
                    try:
                        found[one.key] = parse_label(storage.get(one.key), key=one.key)
                    except LabelInvalid as error:
                        problems.append(error)
        except LifeboatError as error:
            problems.append(error)
    return tuple(sorted(found.values(), key=lambda label: label.made)), tuple(problems)


def find_label(name: str, *, service: str, storages: t.Mapping[str, Storage]) -> Label:
    """The label of that name. Raises LabelInvalid naming those that there are, and what reading raises."""
    labels, problems = read_labels(service, storages=storages)
    for label in labels:
        if label.name == name:
            return label
    for problem in problems:
        raise problem
    names = ", ".join(label.name for label in labels) or "none"
    raise LabelInvalid(f"{service} has no label {name!r}.", hint=f"Labels: {names}.")


def _marking(source: LabelSource, *, name: str, host: Host) -> t.Callable[[], LabelPoint]:
    def marking() -> LabelPoint:
        asked = host.clock.now()
        target, facts = _MARKS[source.engine](source.connection, name=name, runner=host.runner)
        return LabelPoint(
            source=source.name,
            engine=source.engine,
            target=target,
            asked=asked,
            answered=host.clock.now(),
            facts=facts,
            host=host.name,
        )

    return marking
