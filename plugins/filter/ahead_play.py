# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of the role ``standby`` for files that are brought to their spares before anything is lost."""

from __future__ import annotations

import typing as t

from .failover_play import restoring, spared
from .recovery_play import read


def files_to_bring(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any = None,
    *,
    host: str,
    groups: t.Mapping[str, t.Sequence[str]],
) -> list[dict[str, t.Any]]:
    """The files of *host* whose spares are kept ``ahead``, each as ``restoring`` says it, with the spare's ``id``.

    They come from the backup that a failover would choose: the newest verified one that the spare's host can read.
    """
    description = read(services, repositories, settings)
    target = {"decryption": dict(description.settings.decryption)}
    found = []
    for service in description.services:
        for source in service.sources:
            for spare in source.spares:
                if not spare.get("ahead"):
                    continue
                there = spared(service, source, spare, (services, repositories, settings), groups.get("all", ()))
                of = f"{service.name}/{source.name}"
                found.append({"id": f"{of}/{spare['name']}", "of": of, "from": host, **restoring(there, target)})
    return found


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filter by name."""
        return {"files_to_bring": files_to_bring}
