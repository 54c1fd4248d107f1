# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that restore have in common: only the restorer's options differ. Private to the collection."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._engine.core.errors import RequestInvalid, RestoreConfirmationMissing
from ._engine.operations.catalog_requests import repository_requests, selection_from
from ._engine.operations.choosing import NEWEST_VERIFIED, Sources
from ._engine.operations.description_requests import identity_from
from ._engine.operations.finishing import finish_earlier, plan_finish
from ._engine.operations.recovering import RecoveryRequest
from ._engine.operations.restore import plan_restore, run_restore
from ._engine.operations.restore_run import require_confirmation
from ._engine.operations.restore_values import EarlierRestore, RestoreRequest, RestoreResult
from ._engine.recovery.recovery_target import recovery_target_from
from ._engine.report.recovery import finish_plan_text, restore_plan_text, restore_text
from ._module import as_diff, fail, run_module, without_none

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def run_restore_module(
    module: AnsibleModule, *, engine: str, kinds: t.Sequence[str], own_options: t.Sequence[str]
) -> t.NoReturn:
    """Plan in check mode, else restore; leave with the result.

    *kinds* are those that the module restores, first the one that is meant where neither ``kind`` nor ``id`` says it.
    *own_options* go to the restorer, where they were given, beside ``connection``.
    """
    options = without_none(module.params)

    def operation(host: Host) -> dict[str, t.Any]:
        request = _request(options, engine=engine, kinds=kinds, own_options=own_options, host=host)
        if not module.check_mode:
            return _told(module, run_restore(request, host=host))
        plan = plan_restore(request, host=host)
        answer = {"plan": plan.as_dict(), "diff": as_diff(restore_plan_text(plan))}
        if request.confirm is not None:  # the name is learnt from the plan; a wrong one would fail later
            try:
                require_confirmation(plan.inspection.replaces, request.confirm)
            except RestoreConfirmationMissing as error:
                fail(module, error, changed=False, **answer)
        return {"changed": True, **answer}

    run_module(module, operation)


def run_finish_module(module: AnsibleModule) -> t.NoReturn:
    """Say in check mode what would become of an earlier restore, else do it; leave with the result."""
    options = without_none(module.params)
    earlier = EarlierRestore(
        restore_id=options["restore_id"],
        repositories=repository_requests(options["repositories"]),
        options={"connection": options["connection"]},
        identity=identity_from(options.get("decryption")),
        confirm=options.get("confirm"),
        state_directory=options["state_directory"],
        lock_timeout=float(options["lock_timeout"]),
    )

    def operation(host: Host) -> dict[str, t.Any]:
        plan = plan_finish(earlier, options["action"], host=host)
        answer = {"plan": plan.as_dict(), "diff": as_diff(finish_plan_text(plan))}
        if module.check_mode or not plan.changes:
            return {"changed": plan.changes, **answer}
        return {**answer, **_told(module, finish_earlier(earlier, options["action"], host=host))}

    run_module(module, operation)


def _told(module: AnsibleModule, result: RestoreResult) -> dict[str, t.Any]:
    """What came of it; fails the task when something failed once the data was right."""
    told = {"changed": True, "restore": result.as_dict(), "diff": as_diff(restore_text(result))}
    if result.error is not None:
        fail(module, result.error, **told)
    return told


def _request(
    options: Options, *, engine: str, kinds: t.Sequence[str], own_options: t.Sequence[str], host: Host
) -> RestoreRequest:
    request = RestoreRequest(
        repositories=repository_requests(options["repositories"]),
        selection=selection_from({**options, "engine": engine}),
        options={key: options[key] for key in ("connection", *own_options) if key in options},
        point=options.get("point", NEWEST_VERIFIED),
        identity=identity_from(options.get("decryption")),
        confirm=options.get("confirm"),
        allow_failed=options["allow_failed"],
        state_directory=options["state_directory"],
        lock_timeout=float(options["lock_timeout"]),
    )
    if "recover_to" in options:
        target = recovery_target_from(options["recover_to"], now=host.clock.now())
        selection = replace(request.selection, kind=None)
        recovery = RecoveryRequest(engine=engine, target=target, options=request.options)
        return replace(request, selection=selection, recovery=recovery)
    if request.selection.kind is not None:
        return request
    kind = kinds[0]
    if request.selection.backup_id is not None:
        kind = _kind_of(request.selection.backup_id, request, engine=engine, kinds=kinds, host=host)
    return replace(request, selection=replace(request.selection, kind=kind))


def _kind_of(backup_id: str, request: RestoreRequest, *, engine: str, kinds: t.Sequence[str], host: Host) -> str:
    sources = Sources.open(request.repositories, host=host, identity=request.identity)
    manifest = sources.find(backup_id).manifest
    if manifest.engine != engine or manifest.kind not in kinds:
        raise RequestInvalid(
            f"{backup_id} is a backup of the kind {manifest.engine} {manifest.kind}, and this module restores others.",
            hint=f"This one restores {engine} {' and '.join(kinds)}; lifeboat list shows which backups there are.",
        )
    return manifest.kind
