# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names inside a service that must lead somewhere: classes, sources, regions, standbys, applications, jobs."""

from __future__ import annotations

import typing as t

from .job_names import job_names
from .kinds import SET_KIND
from .problems import Path, Problem, nearest
from .reading import Entry, entries, mapping, names_of, text_at

_LISTS = ("classes", "applications", "regions", "alerts", "exercises", "reports")


def reference_problems(service: Entry) -> t.Iterator[Problem]:
    """Every name in *service* that leads nowhere, and every one that two things of a sort share."""
    for key in _LISTS:
        yield from unique_name_problems(entries(service.data, service.path, key))
    yield from _records(entries(service.data, service.path, "dns"))
    known = _Known.of(service)
    for source in entries(service.data, service.path, "sources"):
        yield from _each(source, "classes", known.classes, "class")
        yield from _copies(source, known)
        yield from _members(source, known)
    for application in entries(service.data, service.path, "applications"):
        yield from _application(application, known)
    for record in entries(service.data, service.path, "dns"):
        for region in mapping(record.data.get("values")):
            yield from _missing(region, (*record.path, "values", region), known.regions, "region")
    for alert in entries(service.data, service.path, "alerts"):
        yield from _each(alert, "jobs", known.selectable, "job")
    for exercise in entries(service.data, service.path, "exercises"):
        yield from _exercise(exercise, known)


def _records(records: t.Sequence[Entry]) -> t.Iterator[Problem]:
    """A name may have several types, each once; a CNAME stands alone."""
    seen: dict[str, dict[str, int]] = {}
    for position, entry in enumerate(records):
        name, kind = text_at(entry.data, "name"), text_at(entry.data, "type")
        if name is None or kind is None:
            continue
        others = seen.setdefault(name.rstrip(".").lower(), {})
        if kind in others:
            text = f"{name[:63]!r} is described with the type {kind} in entry {others[kind]} already."
            yield Problem((*entry.path, "name"), text, "Keep one of them.")
        elif others and "CNAME" in (kind, *others):
            text = f"{name[:63]!r} can't be a CNAME beside the type {kind if kind != 'CNAME' else ', '.join(others)}."
            yield Problem((*entry.path, "type"), text, "Describe it as the zone has it: a CNAME alone, or A and AAAA.")
        others.setdefault(kind, position)


def _copies(source: Entry, known: _Known) -> t.Iterator[Problem]:
    standbys = entries(source.data, source.path, "standbys")
    for one in (*standbys, *entries(source.data, source.path, "spares")):
        yield from _one(one, "region", known.regions, "region")
    for standby in standbys:
        others = [name for name in names_of(standbys) if name != standby.data.get("name")]
        yield from _one(standby, "follows", others, "standby")


class _Known(t.NamedTuple):
    classes: t.Sequence[str]
    regions: t.Sequence[str]
    sources: t.Sequence[str]
    standbys: t.Sequence[str]
    applications: t.Sequence[str]
    selectable: t.Sequence[str]  # source, source/kind

    @classmethod
    def of(cls, service: Entry) -> _Known:
        sources = entries(service.data, service.path, "sources")
        selectable: list[str] = []
        standbys: list[str] = []
        for source in sources:
            name = text_at(source.data, "name")
            backups = [backup.data for backup in entries(source.data, source.path, "backups")]
            if name is not None:
                selectable += [name, *(f"{name}/{job}" for job in job_names(backups))]
            standbys += names_of(entries(source.data, source.path, "standbys"))
        return cls(
            classes=names_of(entries(service.data, service.path, "classes")),
            regions=names_of(entries(service.data, service.path, "regions")),
            sources=names_of(sources),
            standbys=standbys,
            applications=names_of(entries(service.data, service.path, "applications")),
            selectable=selectable,
        )


def _members(source: Entry, known: _Known) -> t.Iterator[Problem]:
    for backup in entries(source.data, source.path, "backups"):
        if backup.data.get("kind") == SET_KIND:
            options = Entry((*backup.path, "options"), mapping(backup.data.get("options")))
            for key in ("include", "exclude"):
                yield from _each(options, key, known.selectable, "job")


def _application(application: Entry, known: _Known) -> t.Iterator[Problem]:
    yield from _one(application, "region", known.regions, "region")
    code = Entry((*application.path, "code"), mapping(application.data.get("code")))
    yield from _one(code, "source", known.sources, "source")
    for wire in entries(application.data, application.path, "wiring"):
        yield from _one(wire, "source", known.sources, "source")


def _exercise(exercise: Entry, known: _Known) -> t.Iterator[Problem]:
    yield from _each(exercise, "sources", known.sources, "source")
    checks = entries(exercise.data, exercise.path, "checks")
    yield from unique_name_problems(checks)
    for check in checks:
        yield from _one(check, "source", known.sources, "source")
        yield from _one(check, "standby_reachable", known.standbys, "standby")
        yield from _one(check, "deployment_dry_run", known.applications, "application")
        if "question" in check.data and "source" not in check.data:
            yield Problem(check.path, "does not say which source the question is asked of.", "Add source: NAME.")


def _each(holder: Entry, key: str, known: t.Sequence[str], what: str) -> t.Iterator[Problem]:
    value = holder.data.get(key)
    for index, name in enumerate(value if isinstance(value, list) else ()):
        if isinstance(name, str):
            yield from _missing(name, (*holder.path, key, index), known, what)


def _one(holder: Entry, key: str, known: t.Sequence[str], what: str) -> t.Iterator[Problem]:
    name = text_at(holder.data, key)
    if name is not None:
        yield from _missing(name, (*holder.path, key), known, what)


def _missing(name: str, path: Path, known: t.Sequence[str], what: str) -> t.Iterator[Problem]:
    if name not in known:
        guess = nearest(name, known)
        text = f"the service has no {what} {name[:70]!r}{'; ' + guess if guess else '.'}"
        yield Problem(path, text, f"It has: {', '.join(known)}." if known else "It has none at all.")


def unique_name_problems(listed: t.Sequence[Entry]) -> t.Iterator[Problem]:
    """A problem for each entry of *listed* whose name an earlier one has."""
    seen: dict[str, int] = {}
    for position, entry in enumerate(listed):
        name = text_at(entry.data, "name")
        if name is None:
            continue
        if name in seen:
            yield Problem(
                (*entry.path, "name"), f"{name[:63]!r} is the name of entry {seen[name]} already.", "Choose another."
            )
        seen.setdefault(name, position)
