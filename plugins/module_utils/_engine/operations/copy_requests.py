# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``backup_copy`` to what a copy is asked to do."""

from __future__ import annotations

import typing as t

from ..core.errors import RequestInvalid
from ..core.state import DEFAULT_STATE_DIRECTORY
from .catalog_requests import repository_requests, selection_from
from .copy_values import CopyRequest, TargetPolicy
from .prune_requests import policy_from
from .prune_values import JobPolicy


def copy_request_from_options(options: t.Mapping[str, t.Any]) -> CopyRequest:
    """What the module was told. Raises RequestInvalid and its kin before anything is touched."""
    repositories = repository_requests(options["repositories"])
    policies = [policy_from(entry) for entry in options.get("policies") or ()]
    names = [repository.name for repository in repositories]
    unknown = sorted({policy.repository for policy in policies} - set(names))
    if unknown:
        raise RequestInvalid(
            f"A policy is about the repository {unknown[0]}, which is not among those given.",
            hint=f"Repositories: {', '.join(names)}.",
        )
    return CopyRequest(
        repositories=repositories,
        to=tuple(options.get("to") or ()),
        selection=selection_from({name: options.get(name) for name in ("service", "source", "kind", "id")}),
        policies=target_policies(policies),
        everything=bool(options.get("everything")),
        repair=bool(options.get("repair")),
        parallel=int(options.get("parallel", 4)),
        state_directory=options.get("state_directory", DEFAULT_STATE_DIRECTORY),
        lock_timeout=float(options.get("lock_timeout", 0)),
    )


def target_policies(policies: t.Sequence[JobPolicy]) -> dict[str, TargetPolicy]:
    """For each repository that one of *policies* is about: what jobs store there, and what retention keeps of it."""
    found: dict[str, TargetPolicy] = {}
    for name in dict.fromkeys(policy.repository for policy in policies):
        own = tuple(policy for policy in policies if policy.repository == name)
        found[name] = TargetPolicy(names=frozenset(policy.series for policy in own).__contains__, keeps=own)
    return found
