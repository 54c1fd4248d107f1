# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of ``playbooks/label.yml``: which databases of a service get a recovery label, and who stores it."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import Json, read

_ENGINES = ("mongodb", "postgresql", "redis", "files")


def labelled(services: t.Any, repositories: t.Any, settings: t.Any, wanted: str) -> dict[str, t.Any]:
    """``sources`` (name, engine, connection) of the service *wanted*, and the ``repositories`` that hold its backups.

    Both are empty when the description has no such service.
    """
    description = read(services, repositories, settings)
    for service in description.services:
        if service.name == wanted:
            used = {
                use.name: {"name": use.name, **use.description}
                for source in service.sources
                for job in source.jobs
                for use in job.repositories
                if not use.is_version_control
            }
            sources = [
                {"name": one.name, "engine": one.engine, "connection": dict(one.connection)}
                for one in service.sources
                if one.engine in _ENGINES and not one.has_only_sets
            ]
            return {"sources": sources, "repositories": list(used.values())}
    return {"sources": [], "repositories": []}


def label_shares(found: t.Mapping[str, Json], service: str) -> dict[str, list[Json]]:
    """Into which repositories each host stores the label of *service*; *found* is what each has by :func:`labelled`.

    A folder is each host's own. Of one bucket it is the first host that can reach it: whoever may only write can't see
    that another one has stored the same. A source that two hosts describe is refused, because it is marked once.
    """
    owners: dict[str, list[str]] = {}
    shares: dict[str, list[Json]] = {}
    taken: list[Json] = []
    for host, mine in found.items():
        for source in mine["sources"]:
            owners.setdefault(source["name"], []).append(host)
        if not mine["sources"]:
            continue
        shares[host] = []
        for repository in mine["repositories"]:
            place = {key: value for key, value in repository.items() if key not in ("name", "credentials")}
            if repository["type"] == "file" or place not in taken:
                shares[host].append(repository)
                taken.append(place)
    for name, hosts in owners.items():
        if len(hosts) > 1:
            raise AnsibleFilterError(
                f"{service}/{name} is described for {' and '.join(hosts)}, and it can be marked on one of them only. "
                "Say which with --limit."
            )
    return shares


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"label_shares": label_shares, "labelled": labelled}
