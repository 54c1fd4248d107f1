# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as a document that is reviewed and given back: its hash, writing it, reading it, and what changed since. Pure.

The hash is over what is to go, the overrides, the plan's time and the state of the repository at that time, so that a
plan made again for the same time has the same hash as long as nobody changed what was there.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import typing as t
from dataclasses import dataclass

from ..catalog.layout import Series
from ..catalog.manifest import document_checksum
from ..catalog.manifest_fields import Fields, shortened
from ..catalog.manifest_schema import SHA256
from ..core.clock import format_time
from ..core.errors import PlanInvalid
from .costs import PlanCosts
from .plan_schema import FORMAT, FORMAT_VERSION
from .values import KEPT, REMOVED, Decision, RecoverySpan, Refusal, RetentionPlan, SeriesPolicy, StreamDecision

Removals = frozenset[tuple[str, str]]  # folder of the series, id
Cuts = frozenset[tuple[str, str, str]]  # folder of the series, lineage, hour


def plan_hash(plan: RetentionPlan) -> str:
    """SHA-256 (hexadecimal) that stands for the plan."""
    return _hash(
        repository=plan.repository,
        planned=format_time(plan.now),
        state=plan.state_hash,
        allow=plan.allow,
        removals=_removals(plan),
        cuts=_cuts(plan),
    )


def plan_document(plan: RetentionPlan, *, costs: PlanCosts | None = None) -> dict[str, t.Any]:
    """The plan as JSON values, see :mod:`plan_schema`; *costs* where prices are known."""
    document: dict[str, t.Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "repository": plan.repository,
        "planned": format_time(plan.now),
        "hash": plan_hash(plan),
        "state": plan.state_hash,
        "allow": sorted(plan.allow),
        "summary": summary(plan),
        "policies": [_policy(policy) for policy in plan.policies],
        "backups": [_backup(decision) for decision in plan.decisions],
        "streams": [_stream(decision) for decision in plan.streams],
        "windows": {
            "before": [_window(window) for window in plan.windows_before],
            "after": [_window(window) for window in plan.windows_after],
        },
        "refusals": [_refusal(refusal) for refusal in plan.refusals],
        "overridden": [_refusal(refusal) for refusal in plan.overridden],
        "unfinished_removals": list(plan.unfinished_removals),
    }
    if costs is not None:
        document["costs"] = costs.as_dict()
    document["checksum"] = document_checksum(document)
    return document


def summary(plan: RetentionPlan) -> dict[str, int]:
    """Counts and bytes of what stays and goes."""
    kept = [one.entry.stored_bytes for one in plan.decisions if one.verdict == KEPT]
    removed = [one.entry.stored_bytes for one in plan.decisions if one.verdict == REMOVED]
    return {
        "kept": len(kept),
        "kept_bytes": sum(kept),
        "removed": len(removed),
        "removed_bytes": sum(removed),
        "held_back": sum(one.held_back for one in plan.decisions),
        "removed_hours": sum(one.removed_hours for one in plan.streams),
        "removed_segments": sum(one.removed_segments for one in plan.streams),
        "removed_stream_bytes": sum(one.removed_bytes for one in plan.streams),
    }


@dataclass(frozen=True)
class PlanDocument:
    """A plan that was read back. *document* is all of it as JSON values."""

    repository: str
    planned: datetime.datetime
    plan_hash: str
    state: str
    allow: frozenset[str]
    removals: Removals
    cuts: Cuts
    document: t.Mapping[str, t.Any]


def parse_plan(document: object) -> PlanDocument:
    """Read a plan and check that it is as it was written; properties that are not known are passed over.

    Raises PlanInvalid, and nothing else whatever JSON value comes in.
    """
    try:
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"it does not say format: {FORMAT}")
        if document.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"its format_version is {document.get('format_version')!r} and not {FORMAT_VERSION}")
        if document_checksum(document) != document.get("checksum"):
            raise ValueError("its checksum differs: it was changed after it was written")
        return _read(document)
    except (ValueError, RecursionError) as error:
        raise plan_not_trusted(str(error)) from error


def plan_not_trusted(why: str) -> PlanInvalid:
    """What is said of a plan that can't be taken for what was reviewed."""
    return PlanInvalid(
        f"This is no retention plan that can be trusted: {shortened(why)}.",
        hint="Make one: lifeboat prune --plan --out FILE",
    )


def differences(before: PlanDocument, now: RetentionPlan) -> tuple[str, ...]:
    """What a plan made again for the same time would do otherwise, in words; empty when it is the same plan."""
    if plan_hash(now) == before.plan_hash:
        return ()
    found = [f"{refusal.message} [{refusal.code}]" for refusal in now.refusals if not _was_refused(before, refusal)]
    removals, cuts = _removals(now), _cuts(now)
    found += [f"{folder}{name} would stay now" for folder, name in sorted(before.removals - removals)]
    found += [f"{folder}{name} would go now" for folder, name in sorted(removals - before.removals)]
    found += [
        f"{folder}{name} would be kept from another hour on" for folder, name, _hour in sorted(before.cuts ^ cuts)
    ]
    if now.repository != before.repository:
        found.append(f"it is a plan for {before.repository} and not for {now.repository}")
    if now.now != before.planned:
        found.append(f"it is a plan for {format_time(before.planned)} and not for {format_time(now.now)}")
    if now.allow != before.allow:
        found.append("other guards are overridden")
    return tuple(found) or ("what the repository holds was changed since",)


def _hash(
    *,
    repository: str,
    planned: str,
    state: str,
    allow: t.Collection[str],
    removals: t.Collection[tuple[str, str]],
    cuts: t.Collection[tuple[str, str, str]],
) -> str:
    content = [repository, planned, state, sorted(allow), sorted(removals), sorted(cuts)]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode("utf-8")).hexdigest()


def _removals(plan: RetentionPlan) -> Removals:
    return frozenset((one.entry.series.folder, one.entry.backup_id) for one in plan.decisions if one.verdict == REMOVED)


def _cuts(plan: RetentionPlan) -> Cuts:
    return frozenset(
        (one.entry.series.folder, one.entry.lineage, one.keep_from) for one in plan.streams if one.keep_from
    )


def _read(document: dict[str, t.Any]) -> PlanDocument:
    fields = Fields(document, place="")
    removals = frozenset(
        (_folder(one), one.backup_id("id"))
        for one in fields.objects("backups", may_be_empty=True)
        if one.text("verdict") == REMOVED
    )
    cuts = frozenset(
        (_folder(one), one.name("lineage"), one.text("keep_from", like="[0-9]{10}"))
        for one in fields.objects("streams", may_be_empty=True)
        if one.given("keep_from")
    )
    read = PlanDocument(
        repository=fields.name("repository"),
        planned=fields.time("planned"),
        plan_hash=fields.text("hash", like=SHA256),
        state=fields.text("state", like=SHA256),
        allow=frozenset(fields.texts("allow")),
        removals=removals,
        cuts=cuts,
        document=document,
    )
    again = _hash(
        repository=read.repository,
        planned=format_time(read.planned),
        state=read.state,
        allow=read.allow,
        removals=removals,
        cuts=cuts,
    )
    if again != read.plan_hash:
        raise ValueError("its hash is not that of what it would remove")
    return read


def _folder(fields: Fields) -> str:
    return Series(service=fields.name("service"), source=fields.name("source"), kind=fields.name("kind")).folder


def _was_refused(before: PlanDocument, refusal: Refusal) -> bool:
    return any(one.get("override") == refusal.override for one in before.document.get("refusals", ()))


def _series(series: Series) -> dict[str, str]:
    return {"service": series.service, "source": series.source, "kind": series.kind}


def _policy(policy: SeriesPolicy) -> dict[str, t.Any]:
    return {
        **_series(policy.series),
        "jobs": list(policy.jobs),
        "keep": [keep.as_dict() for keep in policy.keeps],
        "timezone": policy.timezone,
        "stream": policy.is_stream,
    }


def _backup(decision: Decision) -> dict[str, t.Any]:
    entry = decision.entry
    return {
        **_series(entry.series),
        "id": entry.backup_id,
        "state": entry.state,
        "started": format_time(entry.started),
        "stored_bytes": entry.stored_bytes,
        "parent": entry.parent,
        "locked_until": format_time(entry.locked_until) if entry.locked_until else None,
        "verdict": decision.verdict,
        "held_back": decision.held_back,
        "reasons": list(decision.reasons),
        **({"vendor": entry.vendor.as_dict()} if entry.vendor else {}),
    }


def _stream(decision: StreamDecision) -> dict[str, t.Any]:
    return {
        **_series(decision.entry.series),
        "lineage": decision.entry.lineage,
        "keep_from": decision.keep_from or None,
        "removed_hours": decision.removed_hours,
        "removed_segments": decision.removed_segments,
        "removed_bytes": decision.removed_bytes,
        "held_back": decision.held_back,
        "reasons": list(decision.reasons),
    }


def _window(window: RecoverySpan) -> dict[str, str]:
    return {
        "stream": window.series.folder.rstrip("/") if window.series else "",
        "lineage": window.lineage,
        "base": window.base,
        "begins": format_time(window.begins),
        "ends": format_time(window.ends),
    }


def _refusal(refusal: Refusal) -> dict[str, t.Any]:
    return {
        "code": refusal.code,
        "message": refusal.message,
        "hint": refusal.hint,
        "override": refusal.override,
        "series": refusal.series.folder.rstrip("/") if refusal.series else None,
    }
