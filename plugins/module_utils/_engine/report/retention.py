# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention for people: what would go, what stays and why, what that saves; and what became of it.

What goes and what stands in the way comes first, then each source with its reasons. Hundreds of backups that go for one
reason are one line; what somebody pinned, and what stays because something builds on it, is named.
"""

from __future__ import annotations

import datetime
import re
import typing as t

from ..catalog.layout import Series
from ..retention.calendar import PERIODS
from ..retention.costs import ClassCosts, PlanCosts, money_text
from ..retention.guards import HELD_BACK
from ..retention.plan_document import summary
from ..retention.stream_spans import hour_text, moment_text
from ..retention.values import (
    KEPT,
    REMOVED,
    Decision,
    RecoverySpan,
    RetentionPlan,
    SeriesPolicy,
    StreamDecision,
)
from .text import format_bytes

_RULES = ("newest", "count", "within", *PERIODS, "verified", "forever", "without")
_MOST_NAMED = 10
# Ids of backups, times and counts: all in which reasons of one kind differ.
_VARYING = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}|\d{4}-\d\d-\d\d \d\d:\d\dZ|\d+")


def retention_plan_text(plan: RetentionPlan, *, costs: PlanCosts | None = None, everything: bool = False) -> str:
    """A plan by source. *everything* names every backup with all of its reasons, instead of the remarkable ones."""
    lines = [_headline(plan)]
    lines += [f"  {line}" for line in _cost_lines(costs)]
    lines += _refusal_lines(plan)
    if plan.unfinished_removals:
        unfinished = _count(len(plan.unfinished_removals), "removal")
        lines.append(f"  an earlier run left {unfinished} unfinished: done first")
    for source, decisions in _by_source(plan).items():
        lines += ["", "/".join(source)]
        for series, group in _by_series(decisions).items():
            lines += _series_lines(series, group, plan, everything=everything)
        streams = [one for one in plan.streams if (one.entry.series.service, one.entry.series.source) == source]
        for stream in streams:
            lines += _stream_lines(stream)
        lines += _window_lines(plan, source)
    return "\n".join(lines)


def retention_result_text(
    plan: RetentionPlan,
    *,
    removed: t.Sequence[str],
    freed_bytes: int,
    streams: t.Sequence[StreamDecision] = (),
    deferred: t.Mapping[str, datetime.datetime | None] | None = None,
    spared: t.Mapping[str, str] | None = None,
    refused: t.Mapping[str, str] | None = None,
    left: t.Sequence[str] = (),
) -> str:
    """What became of a plan: ids that are *removed*, *deferred* by a lock (until when, where that is known), *spared*
    and *refused* with why, and *left* for the next run; *streams* are those that were cut.
    """
    lines = [f"{plan.repository}: {_count(len(removed), 'backup')} removed, {format_bytes(freed_bytes)} freed"]
    series = {one.entry.backup_id: one.entry.series.folder for one in plan.decisions}
    by_series: dict[str, int] = {}
    for backup_id in removed:
        folder = series.get(backup_id, "").rstrip("/") or "of an earlier run"
        by_series[folder] = by_series.get(folder, 0) + 1
    lines += [f"  {folder}: {number}" for folder, number in sorted(by_series.items())]
    for stream in streams:
        lines.append(
            f"  {_name(stream.entry.series)}: what was recorded before {hour_text(stream.keep_from)}, "
            f"{stream.removed_segments} segments of {_count(stream.removed_hours, 'hour')}"
        )
    locks = {
        name: "no date is known" if until is None else moment_text(until) for name, until in (deferred or {}).items()
    }
    lines += _named("under lock, and tried again when it ends", locks)
    lines += _named("stays all the same", spared or {})
    lines += _named("COULD NOT BE REMOVED", refused or {})
    if left:
        lines.append(f"  not begun: {_count(len(left), 'backup')}; the next run goes on")
    return "\n".join(lines)


def _headline(plan: RetentionPlan) -> str:
    counts = summary(plan)
    there = _count(counts["kept"] + counts["removed"], "backup")
    size = format_bytes(counts["kept_bytes"] + counts["removed_bytes"])
    parts = []
    if counts["removed"]:
        parts.append(f"{counts['removed']} of {there} ({format_bytes(counts['removed_bytes'])} of {size})")
    if counts["removed_hours"]:
        stream_size = format_bytes(counts["removed_stream_bytes"])
        parts.append(f"{_count(counts['removed_segments'], 'segment')} of streams ({stream_size})")
    going = " and ".join(parts) or f"nothing of {there} ({size})"
    held = f"; {counts['held_back']} more are held back" if counts["held_back"] else ""
    return f"{plan.repository} at {moment_text(plan.now)}: would remove {going}{held}"


def _cost_lines(costs: PlanCosts | None) -> list[str]:
    if costs is None:
        return []
    lines = []
    if costs.saved_per_month is not None:
        unpriced = f", and {format_bytes(costs.unpriced_bytes)} without a price" if costs.unpriced_bytes else ""
        lines.append(f"saves {money_text(costs.saved_per_month, costs.currency)} a month{unpriced}")
    lines += [_early_line(one, costs.currency) for one in costs.classes if one.early]
    return lines


def _early_line(costs: ClassCosts, currency: str) -> str:
    money = "" if costs.still_billed is None else f" ({money_text(costs.still_billed, currency)})"
    name = costs.storage_class or "their storage class"
    days = _count(costs.still_billed_days, "day")
    younger = f"{costs.early} are younger than the {costs.minimum_days} days that {name} bills at least"
    return f"{younger}: deleting now still bills up to {days}{money}"


def _refusal_lines(plan: RetentionPlan) -> list[str]:
    lines = []
    for refusal in plan.refusals:
        lines += [f"  REFUSED: {refusal.message} [{refusal.code}]", f"    hint: {refusal.hint}"]
    lines += [f"  allowed all the same: {refusal.message} [{refusal.code}]" for refusal in plan.overridden]
    return lines


Source = tuple[str, str]


def _by_source(plan: RetentionPlan) -> dict[Source, list[Decision]]:
    found: dict[Source, list[Decision]] = {}
    for decision in plan.decisions:
        found.setdefault((decision.entry.series.service, decision.entry.series.source), []).append(decision)
    for stream in plan.streams:
        found.setdefault((stream.entry.series.service, stream.entry.series.source), [])
    return {source: found[source] for source in sorted(found)}


def _by_series(decisions: t.Iterable[Decision]) -> dict[Series, list[Decision]]:
    found: dict[Series, list[Decision]] = {}
    for decision in decisions:
        found.setdefault(decision.entry.series, []).append(decision)
    return found


def _series_lines(
    series: Series, decisions: t.Sequence[Decision], plan: RetentionPlan, *, everything: bool
) -> list[str]:
    going = [one for one in decisions if one.verdict == REMOVED]
    staying = [one for one in decisions if one.verdict == KEPT]
    size = format_bytes(sum(one.entry.stored_bytes for one in going))
    goes = f"{_go(len(going))}, {size}" if going else "nothing goes"
    stays = f"{_stay(len(staying))}, {format_bytes(sum(one.entry.stored_bytes for one in staying))}"
    lines = [f"  {series.kind}: {goes}; {stays}"]
    lines += [f"    policy: {words}" for words in _policy_words(series, plan.policies)]
    if everything:
        lines += [_decision_line(one) for one in decisions]
        return lines
    for group in _runs(going):
        lines += _going_lines(group, plan.now)
    lines += _staying_lines(staying)
    return lines


def _policy_words(series: Series, policies: t.Iterable[SeriesPolicy]) -> list[str]:
    for policy in policies:
        if policy.series == series:
            names = policy.jobs if len(policy.jobs) > 1 else ("",) * len(policy.keeps)
            words = [
                f"{name}: {keep.describe()}" if name else keep.describe() for name, keep in zip(names, policy.keeps)
            ]
            return words or ["none"]
    return ["none: no job keeps this here"]


def _going_lines(group: t.Sequence[Decision], now: datetime.datetime) -> list[str]:
    size = format_bytes(sum(one.entry.stored_bytes for one in group))
    lines = [f"    goes: {_names(group)}, {size}: {_combined(['; '.join(one.reasons) for one in group])}"]
    locks = [one.entry.locked_until for one in group if one.entry.locked_until and one.entry.locked_until > now]
    if locks:
        until = moment_text(max(locks))
        lines.append(f"      under lock: {len(locks)}, until {until} at the latest; a later run removes them")
    return lines


def _staying_lines(staying: t.Sequence[Decision]) -> list[str]:
    """How many stay for each rule of the policy, and by name those that stay for anything else."""
    counts: dict[str, int] = {}
    words: dict[int, list[str]] = {}
    for number, decision in enumerate(staying):
        rules = [_rule(reason) for reason in decision.reasons]
        for rule in dict.fromkeys(rule for rule in rules if rule):
            counts[rule] = counts.get(rule, 0) + 1
        words[number] = [
            reason for reason, rule in zip(decision.reasons, rules) if not rule and not reason.startswith(HELD_BACK)
        ]
    lines = []
    if counts:
        told = sorted(counts, key=lambda rule: (_RULES.index(rule.partition(" ")[0]), rule))
        lines.append(f"    stay: {', '.join(f'{rule} {counts[rule]}' for rule in told)}")
    groups: dict[tuple[str, bool], list[int]] = {}
    for number, found in words.items():
        if found:
            groups.setdefault((_shape(found), staying[number].held_back), []).append(number)
    shown = list(groups.items())
    for (_found, is_held), numbers in shown[:_MOST_NAMED]:
        why = _combined(["; ".join(words[number]) for number in numbers])
        verdict = f"held back by {_guards(staying[numbers[0]])}" if is_held else "stays"
        lines.append(f"    {verdict}: {_names([staying[number] for number in numbers])}: {why}")
    if len(shown) > _MOST_NAMED:
        more = sum(len(numbers) for _found, numbers in shown[_MOST_NAMED:])
        lines.append(f"    stays: {more} more, each for a reason of its own")
    return lines


def _rule(reason: str) -> str:
    """The rule of a policy that a reason is about; empty for reasons that a policy doesn't give."""
    first = reason.partition(" ")[0]
    if first in (*PERIODS, "forever", "verified"):
        return first
    if first == "within":
        return " ".join(reason.split(" ")[:2])
    if " of the newest " in reason:
        return "count"
    if reason.startswith("the newest"):
        return "newest"
    return "without a policy" if reason.startswith("no job keeps") else ""


def _guards(decision: Decision) -> str:
    """By which guards something is held back; where there is none of its own, something that builds on it is."""
    words = [reason[len(HELD_BACK) :] for reason in decision.reasons if reason.startswith(HELD_BACK)]
    return " and ".join(words) or "what builds on it"


def _runs(going: t.Sequence[Decision]) -> list[list[Decision]]:
    """Those that go for one reason, together."""
    groups: dict[str, list[Decision]] = {}
    for decision in going:
        groups.setdefault(_shape(decision.reasons), []).append(decision)
    return list(groups.values())


def _shape(reasons: t.Sequence[str]) -> str:
    """What texts have in common that differ in their numbers alone."""
    return _VARYING.sub("#", "; ".join(reasons))


def _names(group: t.Sequence[Decision]) -> str:
    first, last = group[0].entry.backup_id, group[-1].entry.backup_id
    return first if len(group) == 1 else f"{len(group)} from {first} to {last}"


def _decision_line(decision: Decision) -> str:
    entry = decision.entry
    verdict = "goes" if decision.verdict == REMOVED else "stays"
    reasons = "; ".join(decision.reasons)
    return f"    {verdict}: {entry.backup_id}, {entry.state}, {format_bytes(entry.stored_bytes)}: {reasons}"


def _stream_lines(stream: StreamDecision) -> list[str]:
    name = f"  {stream.entry.series.kind} {stream.entry.lineage}"
    if not stream.keep_from:
        return [f"{name}: nothing goes", f"    why: {'; '.join(stream.reasons)}"]
    size = format_bytes(stream.removed_bytes)
    what = f"{stream.removed_segments} segments of {_count(stream.removed_hours, 'hour')} go, {size}"
    return [f"{name}: {what}; all from {hour_text(stream.keep_from)} on stays", f"    why: {'; '.join(stream.reasons)}"]


def _window_lines(plan: RetentionPlan, source: Source) -> list[str]:
    def of_source(windows: t.Iterable[RecoverySpan]) -> list[str]:
        return _spans(one for one in windows if one.series and _source(one.series) == source)

    before, after = of_source(plan.windows_before), of_source(plan.windows_after)
    if not before:
        return []
    if before == after:
        return [f"  can be recovered, now and then, to any moment {' and '.join(before)}"]
    return [
        f"  can be recovered now to any moment {' and '.join(before)}",
        f"  and then to any moment {' and '.join(after)}" if after else "  and then to NO moment",
    ]


def _spans(windows: t.Iterable[RecoverySpan]) -> list[str]:
    joined: list[tuple[datetime.datetime, datetime.datetime]] = []
    for window in sorted(windows, key=lambda one: one.begins):
        if joined and window.begins <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], window.ends))
        else:
            joined.append((window.begins, window.ends))
    return [f"from {moment_text(begins)} to {moment_text(ends)}" for begins, ends in joined]


def _combined(texts: t.Sequence[str]) -> str:
    """Texts that differ in numbers, times and ids alone as one: ``30 to 42 newer verified``."""
    columns = list(zip(*(_VARYING.findall(text) for text in texts)))
    words = iter([_range(column) for column in columns])
    return _VARYING.sub(lambda _match: next(words), texts[0])


def _range(found: t.Sequence[str]) -> str:
    # Of times and ids the later is the greater text.
    low, high = (min(found, key=int), max(found, key=int)) if found[0].isdigit() else (min(found), max(found))
    return low if low == high else f"{low} to {high}"


def _named(what: str, reasons: t.Mapping[str, str]) -> list[str]:
    lines = [f"  {what}: {name}: {why}" for name, why in sorted(reasons.items())[:_MOST_NAMED]]
    if len(reasons) > _MOST_NAMED:
        lines.append(f"  {what}: {len(reasons) - _MOST_NAMED} more")
    return lines


def _source(series: Series) -> Source:
    return series.service, series.source


def _name(series: Series) -> str:
    return series.folder.rstrip("/")


def _go(number: int) -> str:
    return f"{number} {'goes' if number == 1 else 'go'}"


def _stay(number: int) -> str:
    return f"{number} {'stays' if number == 1 else 'stay'}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
