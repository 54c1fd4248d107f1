# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/restore.yml``: what is restored, by which module, and what must stand still meanwhile."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import Json, entries, read, recovery_series, series

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.description.description import Description
    from ..module_utils._engine.core.description.model import Service, Source

#: The module that brings back each kind, by engine; its task file has the same name.
MODULES: t.Mapping[tuple[str, str], str] = {
    ("mongodb", "full"): "mongo_restore",
    ("postgresql", "logical"): "pg_logical_restore",
    ("postgresql", "base"): "pg_base_restore",
    ("postgresql", "incremental"): "pg_base_restore",
    ("redis", "rdb"): "redis_restore",
    ("redis", "aof"): "redis_restore",
    ("redis", "aof-log"): "redis_restore",
    ("files", "config"): "files_restore",
    ("files", "static"): "files_restore",
    ("files", "app"): "files_restore",
}
#: A set is no backup that one module brings back: this one names its members, which come back by their own.
SET, SET_MODULE = ("files", "system"), "recovery_set"
#: What each module takes beside what all have; tests/architecture compares it with modules and tasks.
OPTIONS: t.Mapping[str, tuple[str, ...]] = {
    "mongo_restore": (
        "databases", "collections", "rename", "suffix", "users_and_roles", "in_place", "others", "parallel", "tool",
        "tool_directory",
    ),
    "pg_logical_restore": (
        "database", "into", "in_place", "existing", "tables", "schemas", "roles", "owners", "privileges", "tablespaces",
        "tolerate", "jobs", "scratch_directory", "analyze", "data_directory", "databases", "port", "start",
    ),
    "pg_base_restore": (
        "data_directory", "in_place", "service_control", "start", "port", "listen_addresses", "bin_directory",
        "config_directory", "verify", "new_timeline", "standby", "start_timeout", "tablespace_map",
        "tablespace_directory", "walg",
    ),
    "redis_restore": (
        "in_place", "service_control", "data_directory", "port", "start", "user", "server_program", "modules",
        "allow_replicas", "configuration_file", "timeout", "start_timeout",
    ),
    "files_restore": ("in_place", "data_directory", "paths", "exact", "show_private", "take", "redeploy"),
}  # fmt: skip
#: How a source of each engine is recovered to a point in time: the module, and the kinds whose repositories are read.
RECOVERIES: t.Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mongodb": ("mongo_restore", ("full", "oplog")),
    "postgresql": ("pg_base_restore", ("base", "incremental", "wal")),
    "redis": ("redis_restore", ("aof-log", "rdb")),
}
_WHERE = "Name it as -e lifeboat_restore=SERVICE/SOURCE/KIND."


def restorable(
    services: t.Any, repositories: t.Any, settings: t.Any, wanted: t.Any, recover_to: t.Any = None
) -> list[dict[str, t.Any]]:
    """What *wanted* (``service/source/kind``, or a job's id, or ``service/source`` with one kind) means to this host.

    An empty list when the description has nothing of that name. One entry otherwise: the backups, the module, how to
    reach the server, the applications that use the data, and the questions that are asked after a recovery. A set is
    one entry, too, with :data:`SET_MODULE`; its members are read by that. With
    *recover_to* (a point in time) *wanted* is ``service/source``: the base is chosen by itself.
    """
    names = entries(wanted)
    if len(names) != 1 or not 2 <= len(names[0].split("/")) <= 3:
        raise AnsibleFilterError(f"{wanted!r} does not say what to restore. {_WHERE}")
    description = read(services, repositories, settings)
    for service in description.services:
        for source in service.sources:
            if f"{service.name}/{source.name}" == "/".join(names[0].split("/")[:2]):
                return _of_source(description, service, source, wanted=names[0], recovers=bool(recover_to))
    return []


def restore_options(target: Json, options: t.Any, *, in_place: bool = False) -> dict[str, t.Any]:
    """The restorer's options: those given, over what the description says.

    *connection* is the source's, with what is given instead. In place, ``service_control`` and ``redeploy`` are the
    source's own. A dump of one database is restored from that one without its being named, one of MongoDB beside it as
    NAME_recovery.
    """
    given = dict(options or {})
    own = {key: value for key, value in given.items() if key != "connection"}
    if in_place:
        own["in_place"] = True
    takes = target["takes"]
    unknown = sorted(set(own) - set(takes))
    if unknown:
        raise AnsibleFilterError(
            f"{target['module']} has no option {' and no '.join(unknown)}. It has: {', '.join(sorted(takes))}."
        )
    if own.get("in_place") and "service_control" in takes and target["service_control"]:
        own.setdefault("service_control", target["service_control"])
    if own.get("in_place") and "redeploy" in takes and target["redeploy"]:
        own.setdefault("redeploy", target["redeploy"])
    if target["module"] == "pg_logical_restore" and "data_directory" not in own and target["database"]:
        own.setdefault("database", target["database"])
    if target["module"] == "mongo_restore" and not any(own.get(key) for key in ("in_place", "rename", "suffix")):
        own["suffix"] = "_recovery"
    if target["module"] == "pg_base_restore" and "data_directory" not in own:
        raise AnsibleFilterError(
            'A base backup is restored into a folder: -e \'{"lifeboat_restore_options": {"data_directory": '
            '"/var/lib/postgresql/15/recovery", "port": 5433, "start": true}}\''
        )
    return {**own, "connection": {**target["connection"], **(given.get("connection") or {})}}


def application_places(target: Json, host: str, groups: t.Mapping[str, t.Sequence[str]]) -> list[dict[str, t.Any]]:
    """Each application that uses the data of *target*, once for each host that it runs on.

    An application without a region runs on *host*, the one of the source. Those of regions that *host* is not in have
    data of their own. ``outside`` marks what no host can stop: it runs on Kubernetes only.
    """
    places: list[dict[str, t.Any]] = []
    for application in target["applications"]:
        region = target["regions"].get(application.get("region"))
        hosts = [host] if region is None else _hosts(region, groups)
        if region is not None and host not in hosts and hosts:
            continue
        controlled = any(key in application for key in ("unit", "stop_command"))
        told = {
            **{key: application.get(key) for key in ("name", "unit", "stop_command", "start_command", "role")},
            "health": _health(application),
            "outside": "kubernetes" in application and not controlled,
        }
        places += [{**told, "host": where} for where in ((hosts or [host]) if controlled else [host])]
    return places


def _of_source(
    description: Description, service: Service, source: Source, *, wanted: str, recovers: bool
) -> list[dict[str, t.Any]]:
    kinds = list(dict.fromkeys(job.kind for job in source.jobs))
    named = wanted.split("/")[2:]
    if recovers:
        return _to_a_point(description, service, source, wanted=wanted, named=named)
    if named:
        # The kind itself, or the name of a job that makes such backups.
        kinds = [named[0]] if named[0] in kinds else [job.kind for job in source.jobs if job.id == wanted]
    kinds = [kind for kind in kinds if named or (source.engine, kind) in (*MODULES, SET)]
    if not kinds:
        return []
    if len(kinds) > 1:
        raise AnsibleFilterError(f"{wanted} has backups of the kinds {', '.join(kinds)}: say which. {_WHERE}")
    kind = kinds[0]
    if (source.engine, kind) == SET:
        shared = series(description, source, service=service.name, kind=kind)
        return [{**shared, **_around(service, source, module=SET_MODULE), "database": None}]
    if (source.engine, kind) not in MODULES:
        raise AnsibleFilterError(f"Backups of the kind {source.engine} {kind} can't be restored by this version.")
    return [
        {
            **series(description, source, service=service.name, kind=kind),
            **_around(service, source, module=MODULES[source.engine, kind]),
            "database": _only_database(source, kind),
        }
    ]


def _to_a_point(
    description: Description, service: Service, source: Source, *, wanted: str, named: t.Sequence[str]
) -> list[dict[str, t.Any]]:
    if named:
        raise AnsibleFilterError(
            f"{wanted} names a kind, and a recovery chooses its base by itself. Name SERVICE/SOURCE."
        )
    if source.engine not in RECOVERIES:
        raise AnsibleFilterError(f"Sources of the engine {source.engine} can't be recovered to a point in time.")
    module, kinds = RECOVERIES[source.engine]
    return [
        {
            **recovery_series(description, source, service=service.name, kinds=kinds),
            **_around(service, source, module=module),
            "database": None,
        }
    ]


def _around(service: Service, source: Source, *, module: str) -> dict[str, t.Any]:
    surroundings = service.surroundings
    return {
        "module": module,
        "takes": list(OPTIONS.get(module, ())),
        "connection": dict(source.connection),
        "service_control": dict(source.service_control),
        "redeploy": list(source.redeploy),
        "objectives": source.objectives.as_dict(),
        "applications": [dict(one) for one in surroundings.get("applications") or ()],
        "regions": {one["name"]: list(one.get("hosts") or ()) for one in surroundings.get("regions") or ()},
        "questions": [
            dict(one) for one in source.verify.get("questions") or () if "recovery" in one.get("ask", ("recovery",))
        ],
    }


def _only_database(source: Source, kind: str) -> str | None:
    """The database that a dump holds, where that is one."""
    if (source.engine, kind) != ("postgresql", "logical"):
        return None
    found: set[str] = set()
    for job in source.jobs:
        if job.kind == kind:
            named = job.options.get("databases")
            found.update([named] if isinstance(named, str) else named or ("",))
    found.discard("all")
    return found.pop() if len(found) == 1 and found != {""} else None


def _hosts(names: t.Sequence[str], groups: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    """Hosts of a region: it names hosts or groups of the inventory."""
    return list(dict.fromkeys(host for name in names for host in groups.get(name, [name])))


def _health(application: Json) -> dict[str, t.Any] | None:
    from ..module_utils._engine.core.description.duration import parse_duration

    health = application.get("health")
    if not health:
        return None
    address = health.get("url")
    if "path" in health:
        address = f"http://127.0.0.1:{application.get('port', 80)}/{health['path'].lstrip('/')}"
    return {
        "url": address,
        "command": health.get("command"),
        "status": health.get("status", 200),
        "timeout": int(parse_duration(health["timeout"]).total_seconds()) if "timeout" in health else 10,
    }


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "application_places": application_places,
            "restorable": restorable,
            "restore_options": restore_options,
        }
