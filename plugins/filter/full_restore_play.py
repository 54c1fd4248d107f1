# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/full_restore.yml``: what comes back where, by which plan, and whether it may go on."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .failover_play import application_hosts, preferred_kind, region_hosts, region_of, told_of_service, told_plan
from .recovery_play import Json, read
from .restore_play import RECOVERIES, restorable

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock
    from ..module_utils._engine.core.description.model import Service, Source
    from ..module_utils._engine.failover.full_config import RecoveryConfig

#: What a first backup is of, the best first: what is shipped afterwards builds on it.
_FIRST = ("base", "full", "rdb", "aof", "logical")


def comes_back(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any,
    wanted: t.Any,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
    replace: t.Any = None,
    unverified: t.Any = None,
) -> list[dict[str, t.Any]]:
    """What it means to *host*, which was lost, that the service of the recovery config *wanted* comes back; an empty
    list when the service is not its own. *replace* are sources whose place may hold something, *unverified* those
    whose newest backup will do, both beside the config's.
    """
    description = read(services, repositories, settings)
    config = _config(wanted, replace, unverified)
    service = next((one for one in description.services if one.name == config.service), None)
    if service is None:
        return []
    regions = {one["name"]: one for one in service.surroundings.get("regions") or ()}
    region = region_of(service.name, regions, config.region, role="primary", option="region") if regions else ""
    there = region_hosts(regions[region], groups) if region else []
    if there and host not in there:
        return []
    names = [dict(one) for one in service.surroundings.get("dns") or ()]
    afterwards = _names_afterwards(config, service, names)
    config = _with_host(config, host)
    known, new_host = groups.get("all", ()), config.place_of(host)
    every = {
        use.name: {"name": use.name, **use.description}
        for source in service.sources
        for job in source.jobs
        for use in job.repositories
        if not use.is_version_control
    }
    read_from = _readable(config, every)
    shared = (services, repositories, settings)
    sources = [
        _source(service, source, shared, config=config, host=new_host, readable=[one["name"] for one in read_from])
        for source in _ordered(service, config)
    ]
    surroundings = service.surroundings
    applications = [dict(one) for one in surroundings.get("applications") or ()]
    places = _places(application_hosts(applications, (None, region or None), regions, groups, host=host), config)
    new_hosts = list(
        dict.fromkeys(
            [
                *(one["spare"]["host"] for one in sources if one["way"] == "restore"),
                *(one["host"] for one in places if not one["outside"]),
            ]
        )
    )
    strangers = [one for one in (new_host, *new_hosts) if one not in known]
    if strangers:
        raise AnsibleFilterError(
            f"{service.name} would come back on {strangers[0]}, which the inventory does not have. Add it there, or "
            "name another one in the recovery config (host, hosts, sources.NAME.host)."
        )
    return [
        {
            **told_of_service(description, service),
            "host": host,
            "new_host": new_host,
            "new_hosts": new_hosts or [new_host],
            "old_hosts": [
                old for old, new in config.hosts.items() if old != new and old in known and old not in new_hosts
            ],
            "keeper": new_host,
            "from": "",
            "to": region,
            "lost_at": config.lost_at,
            "replace": list(config.replace),
            "unverified": list(config.unverified),
            "sources": sources,
            "applications": places,
            # Nothing runs in a place that is left: there is none.
            "left_applications": [],
            "dns": names,
            "names": afterwards,
            "repositories": read_from,
            "leaves_repositories": [name for name in every if name not in {one["name"] for one in read_from}],
            "scheduled": any(job.schedule is not None for source in service.sources for job in source.jobs),
        }
    ]


def restore_all_plan(
    target: Json,
    looked: t.Mapping[str, Json],
    *,
    answering: t.Sequence[str] = (),
    kinds: t.Sequence[str] = (),
    accept_split_brain_risk: bool = False,
    silent: t.Sequence[str] = (),
    clock: Clock | None = None,
) -> dict[str, t.Any]:
    """The ``plan``, the ``refusals``, the ``warnings``, and the ``text`` that people read."""
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.failover.full_phases import PHASES
    from ..module_utils._engine.failover.full_plan import AcceptedForRestore, plan_full_restore
    from ..module_utils._engine.failover.plan import PROMOTION_KINDS

    planned = plan_full_restore(
        target,
        looked=looked,
        answering=answering,
        kinds=(*PROMOTION_KINDS, *kinds),
        accepted=AcceptedForRestore(
            unverified=tuple(target["unverified"]),
            split_brain_risk=accept_split_brain_risk,
            replace=tuple(target["replace"]),
        ),
        now=(clock or SystemClock()).now(),
    )
    plan = planned.plan
    lines = [f"{target['service']} comes back on {', '.join(target['new_hosts'])}.", ""]
    lines += [f"-  {one.source} ({one.engine}): {one.told}" for one in planned.comebacks]
    number = 0
    for phase in PHASES:
        lines += ["", f"{phase}:"]
        for step in (one for one in plan.steps if one.options["phase"] == phase):
            number += 1
            lines.append(f"{number}. [{step.kind}] {step.what}{'' if step.vital else ' (may fail)'}")
    return told_plan(
        planned, lines, warnings=[f"the repository {one} does not answer; it is left out" for one in silent]
    )


def restore_all_objections(ledger: Json, looked: t.Mapping[str, Json], target: Json) -> list[str]:
    """Why the full restore of *ledger* can't go on with what was found out now."""
    from ..module_utils._engine.failover.full_plan import restore_objections

    return restore_objections(ledger, looked, target)


def restore_all_report(evidence: Json) -> list[str]:
    """What a finished full restore has come to, for people."""
    since = evidence["since_loss_seconds"]
    after_loss = "" if since is None else f", {since} s after it was lost"
    took, hosts = evidence["recovery_seconds"], ", ".join(evidence["hosts"])
    told = [f"{evidence['service']} is back on {hosts}, {took} s after the confirmation{after_loss}."]
    for phase in evidence["phases"]:
        if phase["steps"]:
            steps = ", ".join(phase["steps"])
            told += [f"{phase['phase']}: {phase['seconds']} s ({steps})"]
    for name, one in evidence["sources"].items():
        told.append(f"{name}: {one['stated']['statement']}")
        told += [f"  {answer['message']}" for answer in one["answers"]]
    objectives = evidence["objectives"]
    for word, key in (("time to recover", "rto"), ("loss", "rpo")):
        met = {True: "met", False: "MISSED", None: "nobody knows"}[objectives[f"{key}_met"]]
        told.append(f"{word}: objective {objectives[key] or 'not set'}, {met}")
    return [
        *told,
        "Put the new hosts into the inventory's groups and run playbooks/site.yml: it has them make backups.",
    ]


def _config(wanted: t.Any, replace: t.Any, unverified: t.Any) -> RecoveryConfig:
    from ..module_utils._engine.core.errors import RequestInvalid
    from ..module_utils._engine.failover.full_config import recovery_config

    try:
        return recovery_config(wanted, replace=replace, unverified=unverified)
    except RequestInvalid as error:
        raise AnsibleFilterError(str(error)) from None


def _names_afterwards(
    config: RecoveryConfig, service: Service, names: t.Sequence[Json]
) -> dict[str, dict[str, list[str]]]:
    """What each of *names* is to say, once it is certain that the config speaks of nothing that there is not."""
    from ..module_utils._engine.core.errors import RequestInvalid
    from ..module_utils._engine.failover.full_names import names_afterwards

    try:
        config.require_known(
            sources=[one.name for one in service.sources if not one.has_only_sets], names=[one["name"] for one in names]
        )
        return names_afterwards(config, names)
    except RequestInvalid as error:
        raise AnsibleFilterError(str(error)) from None


def _with_host(config: RecoveryConfig, host: str) -> RecoveryConfig:
    import dataclasses

    return dataclasses.replace(config, hosts={host: config.host or config.hosts.get(host, host), **config.hosts})


def _ordered(service: Service, config: RecoveryConfig) -> list[Source]:
    """As the recovery config says, then as the description does; phases are kept by the plan."""
    order = list(config.order)
    sources = [one for one in service.sources if not one.has_only_sets]
    return sorted(sources, key=lambda one: order.index(one.name) if one.name in order else len(order))


def _readable(config: RecoveryConfig, every: t.Mapping[str, Json]) -> list[Json]:
    """The repositories that a new host can read: folders of the lost one are gone unless they are named."""
    unknown = [name for name in config.repositories if name not in every]
    if unknown:
        raise AnsibleFilterError(
            f"{config.service} stores nothing in {' or '.join(unknown)}. It stores in: {', '.join(every)}."
        )
    found = [
        one
        for name, one in every.items()
        if (name in config.repositories if config.repositories else one["type"] != "file")
    ]
    if not found:
        raise AnsibleFilterError(
            f"{config.service} stores in folders of its host alone ({', '.join(every) or 'nowhere'}), which are lost "
            "with it. Where one is mounted or copied on the new host, name it in the recovery config (repositories)"
        )
    return found


def _places(places: t.Sequence[Json], config: RecoveryConfig) -> list[dict[str, t.Any]]:
    """Applications on their new hosts; what ran on two that become one runs there once."""
    found: dict[tuple[str, str], dict[str, t.Any]] = {}
    for one in places:
        host = one["host"] if one["outside"] else config.place_of(one["host"])
        found.setdefault((one["name"], host), {**one, "host": host})
    return list(found.values())


def _source(
    service: Service,
    source: Source,
    shared: tuple[t.Any, t.Any, t.Any],
    *,
    config: RecoveryConfig,
    host: str,
    readable: t.Sequence[str],
) -> dict[str, t.Any]:
    from ..module_utils._engine.failover.full_config import BACKUP, LATEST, named_among
    from ..module_utils._engine.failover.full_sources import phase_of

    own = config.of(source.name)
    told: dict[str, t.Any] = {
        "name": source.name,
        "engine": source.engine,
        "host": host,
        "objectives": source.objectives.as_dict(),
        "service_control": dict(source.service_control),
        "connection": dict(source.connection),
    }
    if own.leave:
        return {**told, "way": "leave"}
    point = own.point or config.point or (LATEST if _is_shipped(source, readable) else BACKUP)
    # A time is reached by what was shipped; without that, by the last backup that had ended by then.
    replays = point != BACKUP and (point == LATEST or _is_shipped(source, readable)) and not own.kind
    name = f"{service.name}/{source.name}"
    restore: Json | None = None
    problem = ""
    try:
        kind = own.kind or ("" if replays else preferred_kind(source))
        restore = next(iter(restorable(*shared, name if replays else f"{name}/{kind}", replays or None)), None)
    except AnsibleFilterError as error:
        problem = str(error)
    if restore is None:
        return {**told, "way": "nowhere", "problem": problem or f"it has no backups of the kind {own.kind}"}
    stored = [one["name"] for one in restore["repositories"] if one["name"] in readable]
    options = dict(own.options)
    folder = own.data_directory or str(options.get("data_directory") or source.fencing.get("data_directory") or "")
    if restore["module"] == "pg_base_restore" and not folder:
        problem = (
            "nothing says where its cluster is to lie. Say it in the recovery config -- "
            f"sources: {{{source.name}: {{data_directory: /var/lib/postgresql/15/main}}}}"
        )
    if not stored:
        where = ", ".join(one["name"] for one in restore["repositories"]) or "no repository"
        problem = f"its backups are in {where} alone, which the new hosts do not read ({', '.join(readable)} they do)"
    if problem:
        return {**told, "way": "nowhere", "problem": problem}
    timed = point not in (BACKUP, LATEST)
    return {
        **told,
        "way": "restore",
        "phase": phase_of(source.engine, str(restore["kind"])),
        "restore": restore,
        "first_job": _first_job(source, readable),
        "spare": {
            "name": own.host or host,
            "host": own.host or host,
            "connection": {**source.connection, **own.connection},
            "service_control": {**source.service_control, **own.service_control},
            "options": {**options, **({"data_directory": folder} if restore["module"] == "pg_base_restore" else {})},
            "repositories": stored,
            "point": point,
            "recover_to": ({"time": point} if timed else {"latest": True}) if replays else {},
            # One that was verified, unless any will do.
            "choose": "newest" if named_among(source.name, config.unverified) else "",
            "before": point if timed and not replays else "",
        },
    }


def _is_shipped(source: Source, readable: t.Collection[str]) -> bool:
    """Whether a stream of it lies where the new hosts can read it, and something that it builds on."""
    if source.engine not in RECOVERIES:
        return False
    from ..module_utils._engine.core.description.kinds import made_kind

    _module, kinds = RECOVERIES[source.engine]
    streams = {"postgresql": "wal", "mongodb": "oplog", "redis": "aof-log"}
    stream = streams[source.engine]
    stored = {
        made_kind(engine=job.engine, kind=job.kind)
        for job in source.jobs
        for use in job.repositories
        if use.name in readable
    }
    # The stream of Redis carries its own beginning.
    return stream in stored and (source.engine == "redis" or any(kind in stored for kind in kinds if kind != stream))


def _first_job(source: Source, readable: t.Collection[str]) -> dict[str, t.Any] | None:
    stored = [job for job in source.jobs if any(use.name in readable for use in job.repositories)]
    jobs = {job.kind: job for job in reversed(stored) if job.runnable}
    return next((jobs[kind].as_dict() for kind in _FIRST if kind in jobs), None)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "comes_back": comes_back,
            "restore_all_objections": restore_all_objections,
            "restore_all_plan": restore_all_plan,
            "restore_all_report": restore_all_report,
        }
