# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``backup_copy`` to a plan, and to what became of it. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.operations.copy_requests import copy_request_from_options
from ._engine.operations.copying import plan_copy, run_copy
from ._engine.report.copying import copy_plan_text
from ._module import as_diff, fail, run_module, without_none

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ._engine.core.host import Host


def run_copy_module(module: AnsibleModule) -> t.NoReturn:
    """Say in check mode what would be copied, else copy it; leave with the result."""
    options = without_none(module.params)

    def operation(host: Host) -> dict[str, t.Any]:
        request = copy_request_from_options(options)
        if module.check_mode:
            plan = plan_copy(request, host=host)
            for problem in plan.problems:
                host.journal.warning(str(problem))
            return {"changed": not plan.is_empty, "plan": plan.as_dict(), "diff": as_diff(copy_plan_text(plan))}
        result = run_copy(request, host=host)
        answer = {**result.as_dict(), "diff": as_diff(copy_plan_text(result.plan))}
        error = result.error
        if error is None:
            return answer
        if options.get("fail_on_incomplete", True):
            fail(module, error, **answer)
        host.journal.warning(str(error))
        return answer

    run_module(module, operation)
