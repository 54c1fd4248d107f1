# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first line of every playbook: whom it is about."""

from __future__ import annotations

import contextlib
import typing as t

from ansible.errors import AnsibleFilterError


def hosts_of_play(pattern: t.Any) -> t.Any:
    """*pattern*, when it is one. An empty one ends the play: it would be done with nobody, and well.

    The hosts of a play are read by Ansible's main process. What the tasks' filters need is loaded here, so that the
    process that is made for each task of each host finds it: half a second of a processor for each of them.
    """
    from ..module_utils._engine.core.description.description import load_description
    from ..module_utils._engine.core.errors import LifeboatError

    with contextlib.suppress(LifeboatError):
        load_description({"lifeboat_repositories": {}, "lifeboat_services": []})
    if not pattern:
        raise AnsibleFilterError(
            "lifeboat_hosts is empty. Leave it out for all hosts, or name some: -e lifeboat_hosts=GROUP"
        )
    return pattern


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"hosts_of_play": hosts_of_play}
