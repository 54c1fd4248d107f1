# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of ``backup_verify`` to a verification and back. Private to the collection."""

from __future__ import annotations

import datetime
import typing as t

from ._engine.core.clock import parse_time
from ._engine.core.errors import BackupNotFound, RequestInvalid
from ._engine.core.levels import LEVELS
from ._engine.operations.catalog_requests import repository_requests, selection_from
from ._engine.operations.description_requests import identity_from, memory_limit
from ._engine.operations.information import InformationRequest, read_information
from ._engine.operations.verify import plan_verifications, run_verifications
from ._engine.operations.verify_values import DUE, VerifyRequest, proof_from
from ._engine.report.recovery import verify_plan_text, verify_text
from ._module import as_diff, fail, run_module, without_none

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ._engine.catalog.catalog import Backup
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]
ENGINES = ("mongodb", "postgresql", "redis", "files")
NOTHING = "Nothing is left to verify."


def run_verify_module(module: AnsibleModule) -> t.NoReturn:
    """Say in check mode what would be verified, else verify it; leave with the result."""
    options = without_none(module.params)

    def operation(host: Host) -> dict[str, t.Any]:
        request = _request(options)
        if module.check_mode:
            backups = plan_verifications(request, host=host)
            if not backups:
                _require_any(options, host=host)
            level = request.proof.level
            plan = [_planned(backup, level=level) for backup in backups]
            return {
                "changed": bool(plan),
                "plan": plan,
                "diff": as_diff(verify_plan_text(backups, level=level) or NOTHING),
            }
        result = run_verifications(request, host=host)
        if not result.outcomes:
            _require_any(options, host=host)
        answer = {
            # What was written down changes what the backup is worth; a verification that could not be made does not.
            "changed": any(outcome.verification is not None for outcome in result.outcomes),
            "verifications": [outcome.as_dict() for outcome in result.outcomes],
            "problems": [problem.as_dict() for problem in result.problems],
            "diff": as_diff("\n".join(verify_text(outcome) for outcome in result.outcomes) or NOTHING),
        }
        if result.error is not None and options["fail_on_failed"]:
            fail(module, result.error, **answer)
        return answer

    run_module(module, operation)


def _request(options: Options) -> VerifyRequest:
    # Keys that were left out come as None; what is deeper (filters, pipelines) is the user's, where None means null.
    questions = [_question(entry) for entry in options.get("questions", ())]
    return VerifyRequest(
        repositories=repository_requests(options["repositories"]),
        selection=selection_from(options),
        proof=proof_from(
            {**options, "questions": questions},
            options={engine: options[engine] for engine in ENGINES if engine in options},
        ),
        which=options["which"],
        count=options["count"],
        since=_since(options),
        identity=identity_from(options.get("decryption")),
        scratch_directory=options["scratch_directory"],
        memory_limit=memory_limit(options["scratch_memory_mib"]),
        keep_scratch=options["keep_scratch"],
        state_directory=options["state_directory"],
        lock_timeout=float(options["lock_timeout"]),
    )


def _question(entry: Options) -> dict[str, t.Any]:
    given = {key: value for key, value in entry.items() if value is not None}
    for way in ("count", "find", "aggregate"):
        if way in given:
            given[way] = {key: value for key, value in given[way].items() if value is not None}
    return given


def _since(options: Options) -> datetime.datetime | None:
    if "since" not in options:
        return None
    if options["which"] != DUE:
        raise RequestInvalid(
            "since says what is due, and nothing asks for that.", hint="Add which: due, or leave it out."
        )
    try:
        return parse_time(options["since"])
    except ValueError as error:
        raise RequestInvalid(
            f"since: {error}", hint="Write RFC 3339 with a zone, for example 2026-11-21T02:00:00Z."
        ) from error


def _require_any(options: Options, *, host: Host) -> None:
    """Nothing was due, or nothing is there at all: the second must not look like the first."""
    asked = {key: options[key] for key in ("repositories", "service", "source", "kind", "engine") if key in options}
    request = InformationRequest.from_options({**asked, "state_directory": options["state_directory"]})
    if not read_information(request, host=host).reading.backups:
        raise BackupNotFound(
            "There is no backup to verify.", hint="See what there is: lifeboat list   (lifeboat.recovery.backup_info)"
        )


def _planned(backup: Backup, *, level: int) -> dict[str, t.Any]:
    manifest = backup.manifest
    return {
        "backup": manifest.backup_id,
        "job": manifest.folder.series.folder.rstrip("/"),
        "engine": manifest.engine,
        "state": backup.state,
        "level": level,
        "level_name": LEVELS[level],
    }
