# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores and verifications as people read them in a terminal."""

from __future__ import annotations

import typing as t

from ..catalog.catalog import Backup
from ..core.description.duration import describe_duration
from ..core.levels import LEVELS
from ..operations.finishing import DISCARD, RESUME, ROLL_BACK, FinishPlan
from ..operations.forecast import Forecast
from ..operations.recovery_times import MET, MISSED, UNKNOWN, SeriesForecast
from ..operations.restore_values import RestorePlan, RestoreResult
from ..operations.verify_values import Outcome
from ..recovery.recovery_planner import RecoveryPlan
from .text import format_bytes, format_seconds, format_table

_VERDICTS: t.Mapping[str, str] = {MET: "met", MISSED: "MISSED", UNKNOWN: "not measured"}


def restore_plan_text(plan: RestorePlan) -> str:
    """What a restore would do, with its reasons, and what to type next."""
    choice, inspection = plan.choice, plan.inspection
    manifest = choice.manifest
    lines = [
        f"{manifest.folder.series.folder.rstrip('/')} would be restored into {plan.target}",
        # The reasons of a recovery follow one by one.
        f"  from {manifest.backup_id} in {choice.repository}" + ("" if plan.recovery else f": {choice.reason}"),
    ]
    if plan.recovery is not None:
        lines += _recovery_lines(plan.recovery)
    lines += [f"  {number}. {step}" for number, step in enumerate(inspection.steps, start=1)]
    lines += [f"  stops: {name}" for name in inspection.stops]
    lines += [f"  puts: {place}" for place in inspection.places]
    lines += [f"  moves: {move}" for move in inspection.moves]
    lines += [f"  | {line}" for line in str(inspection.facts.get("diff") or "").splitlines()]
    free = "" if inspection.free_bytes is None else f", {format_bytes(inspection.free_bytes)} free"
    lines.append(f"  needs about {format_bytes(inspection.needed_bytes)}{free}")
    lines += [f"  versions: {inspection.versions}"] if inspection.versions else []
    lines.append(f"  takes {forecast_text(plan.forecast)}")
    lines += [f"  first rolls back the restore {restore_id}, which died" for restore_id in plan.unfinished]
    lines += [f"  warning: {warning}" for warning in inspection.warnings]
    if inspection.replaces is not None:
        lines.append(f"  replaces {inspection.replaces}: to go ahead add --confirm '{inspection.replaces}'")
    else:
        lines.append("  replaces nothing that exists")
    return "\n".join(lines)


def _recovery_lines(plan: RecoveryPlan) -> list[str]:
    target, segments = plan.target, plan.segments
    edge = "" if target.kind in ("latest", "immediate") else (", inclusive" if target.inclusive else ", exclusive")
    lines = [f"  to {target.kind.replace('_', ' ')} {target.value}{edge}".rstrip()]
    if segments:
        size = format_bytes(sum(one.segment.payload.plain_size or 0 for one in segments))
        first, last = segments[0].segment.name, segments[-1].segment.name
        lines.append(f"  replays {len(segments)} segments ({size}) of {plan.lineage}: {first} to {last}")
    return lines + [f"  why: {reason}" for reason in plan.why] + [f"  warning: {one}" for one in plan.warnings]


def restore_text(result: RestoreResult) -> str:
    """One finished, undone or tidied-up restore."""
    if result.restoration is None:
        lines = [f"restore {result.restore_id} into {result.target}: {result.state}"]
        return "\n".join([*lines, *(f"  removed: {name}" for name in result.removed)])
    restoration = result.restoration
    lines = [
        f"{result.target}: restored from {result.backup['id']} in {format_seconds(result.seconds)}",
        f"  restore: {result.restore_id}",
        f"  where:   {restoration.where}",
    ]
    if restoration.connect:
        lines.append(f"  connect: {restoration.connect}")
    lines += [f"  aside:   {name}" for name in restoration.aside]
    if restoration.aside:
        confirm = f"--confirm '{result.target}'"
        lines.append(
            f"  to go back to what was there before: lifeboat restore --roll-back {result.restore_id} {confirm}"
        )
        lines.append(f"  to remove it for ever:               lifeboat restore --discard {result.restore_id} {confirm}")
    else:
        lines.append(f"  to undo it: lifeboat restore --roll-back {result.restore_id} --confirm '{result.target}'")
    lines += [f"  warning: {warning}" for warning in (*result.warnings, *restoration.warnings)]
    return "\n".join(lines)


def restores_text(documents: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """What this host restored, oldest first."""
    rows = [
        [
            str(document["id"]),
            str(document["state"]),
            str(document["started"])[:19] + "Z",
            str(document["request"]["manifest"]["id"]),
            str(document["target"]),
            str(len((document.get("outcome") or {}).get("aside") or ())) if document["state"] == "finished" else "-",
        ]
        for document in documents
    ]
    columns = ("RESTORE", "STATE", "BEGUN", "BACKUP", "INTO", "ASIDE")
    return format_table(columns, rows, right=("ASIDE",)) if rows else "This host has restored nothing yet."


def unfinished_text(documents: t.Sequence[t.Mapping[str, t.Any]], *, running: t.Collection[str] = ()) -> str:
    """Restores that died in their middle; those whose ids are in *running* run just now."""
    if not documents:
        return "No restore is unfinished."
    lines = []
    for document in documents:
        last = document["steps"][-1]["name"] if document.get("steps") else "nothing yet"
        begun = f"{document['id']} into {document['target']}, begun {document['started']}, last step: {last}"
        if document["id"] in running:
            lines.append(f"{begun}: runs just now, see lifeboat status")
            continue
        lines.append(f"{begun}: DIED")
        lines.append(f"  to finish it: lifeboat restore --resume {document['id']}")
        lines.append(f"  to undo it:   lifeboat restore --roll-back {document['id']}")
    return "\n".join(lines)


def finish_plan_text(plan: FinishPlan) -> str:
    """What would become of an earlier restore."""
    head = f"restore {plan.restore_id} into {plan.target}, which is {plan.state}"
    if not plan.changes:
        return f"{head}: nothing to do"
    verb = {RESUME: "would go on", ROLL_BACK: "would be undone", DISCARD: "would be tidied up"}[plan.action]
    lines = [f"{head}, {verb}"]
    lines += [f"  {step['name']}: {step['state']}" for step in plan.steps]
    if plan.aside:
        word = {ROLL_BACK: "puts back", DISCARD: "removes for ever"}.get(plan.action, "aside")
        lines += [f"  {word}: {name}" for name in plan.aside]
    if plan.confirm is not None:
        lines.append(f"  needs the confirmation: {plan.confirm}")
    return "\n".join(lines)


def verify_plan_text(backups: t.Sequence[Backup], *, level: int) -> str:
    """Which backups would be verified."""
    lines = [
        f"{backup.manifest.folder.series.folder}{backup.manifest.backup_id} would be verified to level {level} "
        f"({LEVELS[level]}); it is {backup.state}"
        for backup in backups
    ]
    return "\n".join(lines)


def verify_text(outcome: Outcome) -> str:
    """One verification."""
    manifest = outcome.backup.manifest
    head = f"{manifest.folder.series.folder}{manifest.backup_id}"
    verification = outcome.verification
    if verification is None:
        return f"{head}: NOT VERIFIED: {outcome.error}"
    reached = LEVELS.get(verification.reached, "not even present")
    word = outcome.state.upper() if outcome.state == "failed" else outcome.state
    far = f"level {verification.reached} ({reached}) of {verification.level}"
    lines = [f"{head}: {word}, {far} in {format_seconds(verification.seconds)}"]
    if verification.recovery_seconds is not None:
        lines.append(f"  time to recover: {format_seconds(verification.recovery_seconds)}")
    passed = sum(1 for check in verification.checks if check["state"] == "passed")
    if verification.checks:
        lines.append(f"  checks: {passed} of {len(verification.checks)} passed")
    lines += [f"  {check['state']}: {check['message']}" for check in verification.checks if check["state"] != "passed"]
    for name, copy in verification.copies.items():
        problem = f": {copy.error['message']}" if copy.error else ""
        if (copy.error and copy.error != verification.error) or len(verification.copies) > 1:
            lines.append(f"  copy in {name}: level {copy.reached}{problem}")
    if verification.error:
        lines.append(f"  {verification.error.get('message')} [{verification.error.get('code')}]")
        if verification.error.get("hint"):
            lines.append(f"  hint: {verification.error['hint']}")
    lines += [f"  warning: {warning}" for warning in verification.warnings]
    return "\n".join(lines)


def forecasts_text(forecasts: t.Sequence[SeriesForecast]) -> str:
    """How long a recovery of each series takes, against its objective, and what that was measured on."""
    rows = []
    for one in forecasts:
        seen, about = one.forecast, one.objective
        objective = f"{describe_duration(about)}: {_VERDICTS[str(one.verdict)]}" if about else "-"
        rows.append(
            [
                one.series.folder.rstrip("/"),
                format_seconds(seen.seconds) if seen else "unknown",
                objective,
                str(seen.count if seen else 0),
                _range(seen) if seen else "-",
                _sizes(seen) if seen else "-",
                format_bytes(one.plain_bytes),
            ]
        )
    columns = ("JOB", "TO RECOVER", "OBJECTIVE", "MEASURED", "RANGE SEEN", "ON DATA OF", "NOW")
    lines = [format_table(columns, rows, right=("MEASURED",))]
    if any(one.forecast is None for one in forecasts):
        lines.append("Unknown times are measured by: lifeboat verify --unverified --level 3")
    return "\n".join(lines)


def forecast_text(forecast: Forecast | None) -> str:
    """How long, from what was seen."""
    if forecast is None:
        return "an unknown time: no recovery of it was measured yet (lifeboat verify measures one)"
    sizes = _sizes(forecast)
    on = "" if sizes == "-" else f" on {sizes}"
    return f"about {format_seconds(forecast.seconds)} ({forecast.count} measured: {_range(forecast)}{on})"


def _range(forecast: Forecast) -> str:
    low, high = format_seconds(forecast.fastest), format_seconds(forecast.slowest)
    return low if low == high else f"{low} to {high}"


def _sizes(forecast: Forecast) -> str:
    low, high = format_bytes(forecast.smallest_bytes), format_bytes(forecast.largest_bytes)
    return low if low == high else f"{low} to {high}"
