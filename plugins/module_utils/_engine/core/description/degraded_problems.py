# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What degraded mode names must lead somewhere."""

from __future__ import annotations

import typing as t

from .job_names import job_names
from .problems import Problem, nearest
from .reading import Entry, entries, mapping, names_of, text_at
from .references import unique_name_problems


def degraded_problems(service: Entry) -> t.Iterator[Problem]:
    """Every name in the degraded mode of *service* that leads nowhere, and every one that is there twice."""
    mode = Entry((*service.path, "degraded_mode"), mapping(service.data.get("degraded_mode")))
    measures = entries(mode.data, mode.path, "measures")
    criteria = entries(mode.data, mode.path, "exit")
    yield from unique_name_problems(measures)
    yield from unique_name_problems(criteria)
    sources = entries(service.data, service.path, "sources")
    engines = {text_at(one.data, "name"): text_at(one.data, "engine") for one in sources}
    applications = names_of(entries(service.data, service.path, "applications"))
    webhooks = mapping(mapping(service.data.get("notifications")).get("webhooks"))
    jobs = [job for one in sources for job in _jobs(one)]
    standbys = [name for one in sources for name in names_of(entries(one.data, one.path, "standbys"))]
    for one in measures:
        yield from _leads(one, ("application", "name"), applications, "application")
        yield from _leads(one, ("env_file", "restart"), applications, "application")
        for engine in ("redis", "postgresql"):
            known = [name for name, own in engines.items() if own == engine and name]
            yield from _leads(one, (engine, "source"), known, f"source of {engine}")
        event = text_at(mapping(one.data.get("webhook")), "event")
        if event is not None and event not in mapping(webhooks.get("endpoints")):
            yield Problem(
                (*one.path, "webhook", "event"),
                f"notifications: webhooks has no endpoint {event}.",
                f"Add endpoints: {{{event}: /PATH}} there.",
            )
        paused = one.data.get("pause_jobs")
        for place, name in enumerate(paused if isinstance(paused, list) else ()):
            if isinstance(name, str) and not any(job == name or job.startswith(f"{name}/") for job in jobs):
                yield Problem((*one.path, "pause_jobs", place), f"the service has no job {name!r}.", ", ".join(jobs))
    for one in criteria:
        yield from _leads(one, ("application",), applications, "application")
        yield from _leads(one, ("lag", "standby"), standbys, "standby")
        yield from _leads(one, ("question", "source"), [name for name in engines if name], "source")


def _jobs(source: Entry) -> list[str]:
    backups = [backup.data for backup in entries(source.data, source.path, "backups")]
    return [f"{text_at(source.data, 'name')}/{job}" for job in job_names(backups)]


def _leads(holder: Entry, keys: tuple[str, ...], known: t.Sequence[str], what: str) -> t.Iterator[Problem]:
    data: t.Mapping[str, t.Any] = holder.data
    for key in keys[:-1]:
        data = mapping(data.get(key))
    name = text_at(data, keys[-1])
    if name is not None and name not in known:
        guess = nearest(name, known)
        text = f"the service has no {what} {name[:70]!r}{'; ' + guess if guess else '.'}"
        yield Problem((*holder.path, *keys), text, f"It has: {', '.join(known)}." if known else "It has none at all.")
