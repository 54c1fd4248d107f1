# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of ``playbooks/tasks/failover/approve.yml``: who must approve a failover of a service."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import read


def failover_approvals(services: t.Any, repositories: t.Any, settings: t.Any, service: str) -> dict[str, t.Any]:
    """The ``approvals`` of *service* in the description; empty when nobody must approve.

    A description without that service ends the play: nobody could tell then whether somebody must.
    """
    description = read(services, repositories, settings)
    for one in description.services:
        if one.name == service:
            return dict(one.surroundings.get("approvals") or {})
    raise AnsibleFilterError(
        f"The description has no service {service}, so nobody can tell who must approve its failover. Run the play on "
        "the host that has it."
    )


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"failover_approvals": failover_approvals}
