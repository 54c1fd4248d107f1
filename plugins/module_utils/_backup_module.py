# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that make backups have in common: they differ in their producer only. Private to the collection."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._engine.catalog.layout import Series
from ._engine.operations.backup import plan_backup, run_backup
from ._engine.operations.backup_values import ON_CHANGE, ON_DEPLOYMENT, BackupRequest, ProducerFactory
from ._engine.operations.catalog_requests import repository_requests
from ._engine.pipeline.transforms import transforms_from
from ._engine.recovery.questions import question_from
from ._engine.report.results import plan_text, result_text
from ._module import as_diff, fail, run_module, without_none

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ._engine.core.host import Host
    from ._engine.operations.asking import Asking

Options = t.Mapping[str, t.Any]


def run_backup_module(
    module: AnsibleModule,
    *,
    engine: str,
    kind: str,
    factory: t.Callable[[Options], ProducerFactory],
    own_options: t.Sequence[str],
    asking: Asking | None = None,
    parent_kinds: tuple[str, ...] = (),
) -> t.NoReturn:
    """Plan in check mode, else make the backup; leave with the result.

    *factory* turns the module's *own_options* (those that were given) into a producer factory. *asking* and
    *parent_kinds* are those of the kind: a module carries what its own kind needs, and not the table of all kinds.
    """
    options = without_none(module.params)
    own = {key: options[key] for key in ("connection", *own_options) if key in options}

    def operation(host: Host) -> dict[str, t.Any]:
        request = replace(
            _request(options, engine=engine, kind=kind, make=factory(own)), asking=asking, parent_kinds=parent_kinds
        )
        if module.check_mode:
            plan = plan_backup(request, host=host)
            return {"changed": True, "plan": plan.as_dict(), "diff": as_diff(plan_text(plan))}
        result = run_backup(request, host=host)
        answer = {"changed": not result.is_unchanged, "backup": result.as_dict(), "diff": as_diff(result_text(result))}
        if result.error is not None and options["fail_on_partial"]:
            fail(module, result.error, **answer)
        return answer

    run_module(module, operation)


def _request(options: Options, *, engine: str, kind: str, make: ProducerFactory) -> BackupRequest:
    return BackupRequest(
        series=Series(service=options["service"], source=options["source"], kind=kind),
        engine=engine,
        repositories=repository_requests(options["repositories"]),
        make_producer=make,
        transforms=transforms_from(compression=options.get("compression"), encryption=options.get("encryption")),
        state_directory=options["state_directory"],
        lock_timeout=float(options["lock_timeout"]),
        labels={str(key): str(value) for key, value in options.get("labels", {}).items()},
        connection=options.get("connection", {}),
        questions=tuple(question_from(question) for question in options["questions"]),
        only_if_changed=options.get("trigger") in (ON_CHANGE, ON_DEPLOYMENT),
        whole=bool(options.get("whole")),
    )
