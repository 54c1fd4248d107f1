# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role ``standby`` and of ``playbooks/dr_failback.yml``: which standbys, and what making one takes."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import Json, read, readable_elsewhere

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.description.description import Description
    from ..module_utils._engine.core.description.model import Service, Source

_LOGIN = ("user", "password", "password_file", "password_env", "password_command", "passfile", "sslmode", "sslrootcert")


def standbys_to_make(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any = None,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
    shared: t.Any = None,
) -> list[dict[str, t.Any]]:
    """The standbys of PostgreSQL in the description of *host* whose data folder it names; who is followed comes first.

    *shared* names repositories that are folders and can be read from other hosts as well.
    """
    description = read(services, repositories, settings)
    found = []
    for service in description.services:
        for source in service.sources:
            if source.engine == "postgresql":
                made = [one for one in source.standbys if one.get("data_directory")]
                found += [
                    _standby(description, service, source, one, host=host, groups=groups, shared=shared)
                    for one in _in_order(source, made)
                ]
    return found


def standby_roles(standbys: t.Sequence[Json]) -> list[dict[str, t.Any]]:
    """The sources whose *standbys* log in with a role of their own, each with that role and their addresses."""
    found: dict[str, dict[str, t.Any]] = {}
    for one in standbys:
        if not one["login"].get("user"):
            continue
        entry = found.setdefault(
            str(one["of"]),
            {
                "of": one["of"],
                "service": one["service"],
                "source": one["source"],
                "connection": {**_unlogged(one["jobs"]), **one["login"]},
                "addresses": [],
            },
        )
        if one["address"]:
            entry["addresses"] = [*dict.fromkeys([*entry["addresses"], one["address"]])]
    return list(found.values())


def followers_to_make(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any = None,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
) -> list[dict[str, t.Any]]:
    """The replicas of Redis and the members of MongoDB in the description of *host* that the role has follow.

    A member is that whose C(rights) are described.
    """
    found = []
    for service in read(services, repositories, settings).services:
        for source in service.sources:
            found += [
                _follower(service, source, one, host=host, groups=groups)
                for one in source.standbys
                if source.engine == "redis" or (source.engine == "mongodb" and "rights" in one)
            ]
    return found


def _follower(
    service: Service, source: Source, standby: Json, *, host: str, groups: t.Mapping[str, t.Sequence[str]]
) -> dict[str, t.Any]:
    of = f"{service.name}/{source.name}"
    found: dict[str, t.Any] = {
        "id": f"{of}/{standby['name']}",
        "of": of,
        "engine": source.engine,
        "connection": dict(standby["connection"]),
        "source": dict(source.connection),
    }
    if source.engine == "mongodb":
        if not standby.get("member"):
            raise AnsibleFilterError(
                f"The member {standby['name']} of {of} has rights and no address: describe member, HOST:PORT."
            )
        return {**found, "member": standby["member"], "rights": {"priority": 0, "votes": 1, **standby["rights"]}}
    primary = {key: value for key, value in source.connection.items() if key != "unix_socket"}
    return {
        **found,
        "host": _place(standby, of=of, groups=groups),
        "primary": {**primary, "host": _address(source.connection) or host},
    }


def standby_left_behind(standbys: t.Sequence[Json], name: str, folder: t.Any = None) -> dict[str, t.Any]:
    """What makes the source's own server a standby of its standby *name*: both have changed places.

    *folder* is its data folder, where the description does not say it.
    """
    one = next(each for each in standbys if each["name"] == name)
    data_directory = one["of_folder"] or folder
    if not data_directory:
        raise AnsibleFilterError(
            f"Nobody says where the data of {one['of']} lies: describe fencing.data_directory of the source."
        )
    return {
        **one,
        "id": f"{one['of']}/{one['source']}",
        "name": str(one["source"]),
        "slot": None,
        "host": one["of_host"],
        "connection": one["jobs"],
        "primary": _reached(one["connection"], one["address"] or one["host"], one["login"]),
        "data_directory": data_directory,
        "service_control": one["of_control"],
        "seed": "primary",
    }


def servers_to_guard(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any = None,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
    redis_configuration: str = "",
) -> list[dict[str, t.Any]]:
    """The servers that could be the primary of a source with standbys or a witness, each with its unit and its host.

    ``lease`` is how long the one of its witness is, in seconds; 0 without. A server whose unit nobody describes is none
    of them: nothing can be asked before it starts.
    """
    from ..module_utils._engine.failover.fencing import witness_of

    description = read(services, repositories, settings)
    found = []
    for service in description.services:
        for source in service.sources:
            witness = witness_of(source.fencing)
            if source.engine not in ("postgresql", "redis") or not (source.standbys or witness):
                continue
            own = {
                "inventory_host": host,
                "data_directory": source.fencing.get("data_directory"),
                "service_control": source.service_control,
            }
            for one in (own, *source.standbys):
                unit = (one.get("service_control") or source.service_control).get("unit")
                place = one.get("inventory_host") or one["connection"].get("host")
                redis = source.engine == "redis"
                if unit and place in set(groups.get("all", ())) and (redis or one.get("data_directory")):
                    found.append(
                        {
                            "of": f"{service.name}/{source.name}",
                            "host": str(place),
                            "unit": str(unit).removesuffix(".service"),
                            "lease": witness["lease"] if witness else 0,
                            "standby": ["--configuration-file", redis_configuration]
                            if redis
                            else ["--data-directory", str(one["data_directory"])],
                        }
                    )
    return found


def _standby(
    description: Description,
    service: Service,
    source: Source,
    standby: Json,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
    shared: t.Any,
) -> dict[str, t.Any]:
    of = f"{service.name}/{source.name}"
    place = _place(standby, of=of, groups=groups)
    login = dict(standby.get("replication") or {})
    upstream, at = dict(source.connection), host
    if standby.get("follows"):
        other = next(one for one in source.standbys if one["name"] == standby["follows"])
        upstream, at = dict(other["connection"]), str(other.get("inventory_host") or other["connection"].get("host"))
    uses = {use.name: use for job in source.jobs for use in job.repositories if not use.is_version_control}
    stored: list[Json] = [{"name": name, **use.description} for name, use in uses.items()]
    seed = str(standby.get("seed") or "primary")
    if place != host and seed == "repository":
        stored = list(readable_elsewhere(stored, shared))
    return {
        "id": f"{of}/{standby['name']}",
        "of": of,
        "service": service.name,
        "source": source.name,
        "name": str(standby["name"]),
        "host": place,
        "address": _address(standby["connection"]),
        "connection": dict(standby["connection"]),
        "jobs": dict(source.connection),
        "login": login,
        "primary": _reached(upstream, _address(upstream) or at, login),
        "data_directory": standby["data_directory"],
        "service_control": dict(standby.get("service_control") or {}),
        "seed": seed,
        "slot": standby.get("slot"),
        "region": standby.get("region"),
        "repositories": stored,
        "of_host": host,
        "of_folder": source.fencing.get("data_directory"),
        "of_control": dict(source.service_control),
        "state_directory": description.settings.state_directory,
        "names": _names(service, standby.get("region")),
    }


def _place(standby: Json, *, of: str, groups: t.Mapping[str, t.Sequence[str]]) -> str:
    """The host of the inventory that it runs on. Raises AnsibleFilterError where there is none."""
    place = standby.get("inventory_host") or standby["connection"].get("host")
    if place not in set(groups.get("all", ())):
        raise AnsibleFilterError(
            f"The standby {standby['name']} of {of} runs on {place or 'a host that is not named'}, which the inventory "
            "does not have. Give it inventory_host in the description."
        )
    return str(place)


def _names(service: Service, region: t.Any) -> list[dict[str, t.Any]]:
    """The records that are to say something of *region* when it is in charge: what the step ``dns`` is given."""
    records = service.surroundings.get("dns") or ()
    return [
        {"record": dict(one), "values": one["values"][region]} for one in records if region and region in one["values"]
    ]


def _in_order(source: Source, standbys: t.Sequence[Json]) -> list[Json]:
    """Whoever is followed comes before whoever follows; a ring is refused."""
    left, done = list(standbys), [one["name"] for one in source.standbys if not one.get("data_directory")]
    found: list[Json] = []
    while left:
        ready = [one for one in left if not one.get("follows") or one["follows"] in done]
        if not ready:
            raise AnsibleFilterError(f"{', '.join(str(one['name']) for one in left)} follow one another in a ring.")
        found += ready
        done += [one["name"] for one in ready]
        left = [one for one in left if one not in ready]
    return found


def _address(connection: Json) -> str:
    """Where others find it; empty for a socket."""
    host = str(connection.get("host") or "")
    return "" if host.startswith("/") else host


def _reached(connection: Json, host: str, login: Json) -> dict[str, t.Any]:
    """As whom a standby comes to a server: as its own role, or else as the connection says."""
    return {**(_unlogged(connection) if login else connection), "host": host, **login}


def _unlogged(connection: Json) -> dict[str, t.Any]:
    return {key: value for key, value in connection.items() if key not in _LOGIN}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "followers_to_make": followers_to_make,
            "servers_to_guard": servers_to_guard,
            "standby_left_behind": standby_left_behind,
            "standby_roles": standby_roles,
            "standbys_to_make": standbys_to_make,
        }
