# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``lifeboat.recovery.jobs``: from the description in the inventory to a list of jobs."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display


def jobs(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any = None,
    select: t.Any = (),
) -> list[dict[str, t.Any]]:
    """The jobs that *services* describe, those that *select* names, as JSON values; doubts are shown as warnings."""
    from ..module_utils._engine.core.description.description import load_description
    from ..module_utils._engine.core.errors import LifeboatError

    mapping = {"lifeboat_repositories": repositories, "lifeboat_services": services}
    if settings:
        mapping["lifeboat_settings"] = settings
    try:
        description = load_description(mapping)
        chosen = description.jobs(_selection(select))
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from None
    for warning in description.warnings:
        Display().warning(f"lifeboat: {warning}")
    return [job.as_dict() for job in chosen]


def _selection(select: t.Any) -> list[str]:
    """``-e lifeboat_jobs=family/main,adhd`` arrives as text, a playbook's variable perhaps as a list."""
    if select is None:
        return []
    if isinstance(select, str):
        return select.split(",")
    if isinstance(select, (list, tuple)) and all(isinstance(entry, str) for entry in select):
        return [part for entry in select for part in entry.split(",")]
    raise AnsibleFilterError(
        "lifeboat.recovery.jobs: select must be text such as 'family/main,adhd' or a list of such texts, "
        f"not {type(select).__name__}."
    )


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"jobs": jobs}
