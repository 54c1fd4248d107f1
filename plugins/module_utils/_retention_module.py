# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``s3_retention`` to a plan, and to what became of it. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.operations.prune import plan_prune, run_prune
from ._engine.operations.prune_requests import request_from_options
from ._engine.report.prune import plans_text, pruned_text
from ._module import as_diff, fail, run_module, without_none

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ._engine.core.host import Host
    from ._engine.operations.prune_plans import PrunePlans


# Before the hash: how a plan of the module is carried out.
_APPLY = "the same again, with plan_hash (of playbooks/retention.yml: -e lifeboat_plan_hash)"


def run_retention_module(module: AnsibleModule) -> t.NoReturn:
    """Say in check mode what would be removed, else remove it; leave with the result."""
    options = without_none(module.params)

    def operation(host: Host) -> dict[str, t.Any]:
        request = request_from_options(options)
        if module.check_mode:
            plans = plan_prune(request, host=host)
            answer = {"plan_hash": plans.hash, "diff": as_diff(plans_text(plans, apply=_APPLY)), **_planned(plans)}
            return {**answer, "changed": plans.removes_something}
        result = run_prune(request, plan_hash=options.get("plan_hash"), host=host)
        answer = {
            "plan_hash": result.plans.hash,
            **_planned(result.plans),
            "results": result.as_dicts(),
            "diff": as_diff(f"{plans_text(result.plans, apply='')}\n\n{pruned_text(result)}"),
        }
        if result.error is not None:
            fail(module, result.error, changed=result.changed, **answer)
        return {**answer, "changed": result.changed}

    run_module(module, operation)


def _planned(plans: PrunePlans) -> dict[str, t.Any]:
    documents = plans.as_dict()
    return {name: documents[name] for name in ("plans", "vendors", "leftovers")}
