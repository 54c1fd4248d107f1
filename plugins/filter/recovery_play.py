# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``playbooks/verify.yml`` and ``playbooks/restore.yml`` share: the backups of a source, and who can read them."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.description.description import Description
    from ..module_utils._engine.core.description.model import Job, Source


Json = t.Mapping[str, t.Any]


def select_backups(listed: t.Sequence[Json], selection: t.Any) -> list[Json]:
    """Those of *listed* that an entry of *selection* names, by a job that makes them; all when it is empty."""
    wanted = entries(selection)
    return [backups for backups in listed if not wanted or any(_names(entry, backups) for entry in wanted)]


def unmatched_backups(selection: t.Any, listed: t.Sequence[Json]) -> list[str]:
    """The entries of *selection* that name none of *listed*."""
    return [entry for entry in entries(selection) if not any(_names(entry, backups) for backups in listed)]


def readable_elsewhere(repositories: t.Sequence[Json], names: t.Any = None) -> list[Json]:
    """Those *repositories* that another host can read: not the folders of this one; with *names*, those and no others.

    An operator names them where a folder is mounted there, too, or copied.
    """
    wanted = entries(names)
    unknown = [name for name in wanted if name not in {str(one["name"]) for one in repositories}]
    if unknown:
        there = ", ".join(str(one["name"]) for one in repositories)
        raise AnsibleFilterError(
            f"No repository of these backups is called {' or '.join(unknown)}. There are: {there}."
        )
    found = [one for one in repositories if (one["name"] in wanted if wanted else one["type"] != "file")]
    if not found:
        raise AnsibleFilterError(
            "None of the repositories can be read from another host: they are folders of the host that makes the "
            "backups. Store backups in S3 as well, or name those that are mounted there: -e lifeboat_repository=NAME"
        )
    return found


def read(services: t.Any, repositories: t.Any, settings: t.Any) -> Description:
    """The description in the variables of an inventory. A mistake in it ends the play with its explanation."""
    from ..module_utils._engine.core.description.description import load_description
    from ..module_utils._engine.core.errors import LifeboatError

    mapping = {"lifeboat_repositories": repositories or {}, "lifeboat_services": services or []}
    if settings:
        mapping["lifeboat_settings"] = settings
    try:
        return load_description(mapping)
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from None


def series(description: Description, source: Source, *, service: str, kind: str) -> dict[str, t.Any]:
    """One kind of backups of a source, as JSON values; ``jobs`` has the ids of the jobs that make them."""
    from ..module_utils._engine.core.description.kinds import is_runnable

    settings = description.settings
    return {
        "id": f"{service}/{source.name}/{kind}",
        "service": service,
        "source": source.name,
        "engine": source.engine,
        "kind": kind,
        "jobs": [job.id for job in source.jobs if job.kind == kind],
        "runnable": is_runnable(engine=source.engine, kind=kind),
        "repositories": _repositories(source.jobs, kind=kind),
        "decryption": dict(settings.decryption),
        "state_directory": settings.state_directory,
    }


def recovery_series(
    description: Description, source: Source, *, service: str, kinds: t.Sequence[str]
) -> dict[str, t.Any]:
    """What :func:`series` says, of all *kinds* together: a base and what is replayed behind it."""
    found = [series(description, source, service=service, kind=kind) for kind in kinds]
    repositories = {str(one["name"]): one for each in found for one in each["repositories"]}
    return {
        **found[0],
        "id": f"{service}/{source.name}",
        "jobs": [job for each in found for job in each["jobs"]],
        "repositories": list(repositories.values()),
    }


def entries(selection: t.Any) -> list[str]:
    """The entries of a selection: text with commas, or a list of such texts."""
    texts = [selection] if isinstance(selection, str) else [str(entry) for entry in selection or ()]
    return [entry.strip().strip("/") for text in texts for entry in text.split(",") if entry.strip()]


def _names(entry: str, backups: Json) -> bool:
    return any(name == entry or name.startswith(f"{entry}/") for name in (backups["id"], *backups["jobs"]))


def _repositories(jobs: t.Sequence[Job], *, kind: str) -> list[dict[str, t.Any]]:
    """In the form of the modules: those of the kind first; then the source's others, for what increments build on."""
    ordered = [job for job in jobs if job.kind == kind] + [job for job in jobs if job.kind != kind]
    found: dict[str, dict[str, t.Any]] = {}
    for job in ordered:
        for use in job.repositories:
            if not use.is_version_control:
                found.setdefault(use.name, {"name": use.name, **use.description})
    return list(found.values())


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "readable_elsewhere": readable_elsewhere,
            "select_backups": select_backups,
            "unmatched_backups": unmatched_backups,
        }
