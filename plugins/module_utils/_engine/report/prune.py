# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of all repositories for people, with what to type next; and what became of them."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..core.clock import format_time
from ..operations.label_pins import LabelPinResult
from ..operations.pins import PinResult
from ..operations.prune_plans import PrunePlans
from ..operations.prune_results import PruneResult, RepositoryResult
from ..operations.stray_segments import SEGMENT
from ..operations.sweep import Orphan, Swept
from ..operations.vendor_plans import VendorPlan
from ..recovery.vendor_storage import VendorRest
from ..retention.stream_spans import moment_text
from ..retention.values import RetentionPlan
from .retention import retention_plan_text, retention_result_text
from .text import format_bytes

_SHOWN = 10


def plans_text(plans: PrunePlans, *, everything: bool = False, apply: str = "lifeboat prune --apply") -> str:
    """What would go where, and how to have it done: by *apply* and the hash of the plans (empty: it is done)."""
    texts = [
        "\n".join(
            [
                retention_plan_text(plan, costs=plans.costs_of(plan), everything=everything),
                *_leftover_lines(plan, plans.leftovers.get(plan.repository)),
            ]
        )
        for plan in plans.plans
    ]
    texts += [_vendor_text(one) for one in plans.vendors]
    if not apply:
        return "\n\n".join(texts)
    if plans.removes_something:
        texts.append(f"Nothing was removed. To have exactly this done: {apply} {plans.hash}")
    else:
        texts.append("Nothing would be removed.")
    return "\n\n".join(texts)


def pruned_text(result: PruneResult) -> str:
    """What was removed where."""
    return "\n\n".join(_repository_text(one) for one in result.repositories)


def pins_text(result: PinResult) -> str:
    """Which pins a backup has, or has no more, and where."""
    lines = []
    for pin in result.pins:
        kind = "legal hold" if pin.hold else "pin"
        until = f"until {format_time(pin.until)}" if pin.until else "until it is taken away"
        lines.append(f"{result.backup_id}: {kind} {pin.pin_id} by {pin.by}, {until}: {pin.reason}")
    lines.append(f"  in {', '.join(result.repositories) or 'no repository'}")
    if result.protected:
        lines.append(f"  the storage itself was told, too: {', '.join(result.protected)}")
    lines += [f"  {name} does not guard it by itself: {why}" for name, why in (result.unprotected or {}).items()]
    return "\n".join(lines)


def label_pins_text(result: LabelPinResult) -> str:
    """Which pins a label has, or has no more, and where."""
    place, label = f"{result.service}/{result.name}", result.label
    if label is None:
        lines = [f"{place}: the label itself is not there"]
    else:
        lines = [f"{place}, {format_time(label.made)}: {', '.join(one.source for one in label.points)}"]
    for pin in result.pins:
        until = f"until {format_time(pin.until)}" if pin.until else "until it is taken away"
        lines.append(f"  pin {pin.pin_id} by {pin.by}, {until}: {pin.reason}")
    lines.append(f"  in {', '.join(result.repositories) or 'no repository'}")
    return "\n".join(lines)


def _leftover_lines(plan: RetentionPlan, found: Swept | None) -> list[str]:
    """What belongs to nothing and would be swept as well; what only looks so is told and stays."""
    if found is None:
        return []
    lines = []
    going = [one for one in found.orphans if not one.kept]
    if going:
        size = format_bytes(sum(one.bytes or 0 for one in going))
        lines += ["", f"leftovers that belong to nothing: {len(going)} would be swept, {size}"]
        lines += _first(f"  {one.place}: {_leftover_words(one)}" for one in going)
    staying = [one for one in found.orphans if one.kept]
    if staying:
        size = format_bytes(sum(one.bytes or 0 for one in staying))
        lines += ["", f"leftovers that stay: {len(staying)}, {size}"]
        lines += [f"  {why}" for why in dict.fromkeys(one.kept for one in staying)]
        lines += _first(f"  {one.place}: {_leftover_words(one)}" for one in staying)
    lines += _more_lines(found, indent="")
    error = found.error
    if error is not None and any(error.message in refusal.message for refusal in plan.refusals):
        found = replace(found, error=None)  # the plan has said so
    return lines + _strange_lines(found, indent="")


def _leftover_words(one: Orphan) -> str:
    size = "" if one.bytes is None else f", {format_bytes(one.bytes)}"
    last = "stored" if one.what == SEGMENT else "the last"
    return f"{one.what}{size}, {last} at {moment_text(one.newest)}"


def _more_lines(found: Swept, *, indent: str) -> list[str]:
    return [f"{indent}and {found.more} more segments that no record names: the next runs go on"] if found.more else []


def _strange_lines(found: Swept, *, indent: str) -> list[str]:
    lines = []
    if found.strange:
        lines.append(f"{indent}not of Lifeboat's making, and left alone: {len(found.strange)}")
        lines += _first(f"{indent}  {key}" for key in found.strange)
    if found.error is not None:
        lines.append(f"{indent}leftovers could not all be looked for: {found.error.message} [{found.error.code}]")
    return lines


def _first(lines: t.Iterable[str]) -> list[str]:
    """The first of them, and how many more there are."""
    found = list(lines)
    more = len(found) - _SHOWN
    return [*found[:_SHOWN], *([f"  and {more} more: --json names all"] if more > 0 else [])]


def _vendor_text(plan: VendorPlan) -> str:
    """What the tool removes where the data of backups is not in a repository."""
    stay = f"{len(plan.keeps)} stay{'' if len(plan.keeps) != 1 else 's'}"
    if not plan.removes:
        return f"{plan.tool} in {plan.storage}: nothing goes; {stay}"
    size = format_bytes(plan.removed_bytes)
    lines = [f"{plan.tool} in {plan.storage}: {plan.tool} itself removes {len(plan.removes)} ({size}); {stay}"]
    lines += [f"  goes: {one.name} ({one.backup_id}), {format_bytes(one.size)}" for one in plan.removes[:_SHOWN]]
    if len(plan.removes) > _SHOWN:
        lines.append(f"  goes: {len(plan.removes) - _SHOWN} more")
    if plan.log_from:
        lines.append(f"  and WAL before {plan.log_from} that no other backup there needs")
    return "\n".join(lines)


def _rest_words(rest: VendorRest) -> list[str]:
    """What a storage still keeps, and what frees the space."""
    words = []
    if rest.hidden:
        words.append(
            f"still keeps {rest.hidden} old versions of what was removed, {format_bytes(rest.hidden_bytes)}, until a "
            "lifecycle rule of the bucket removes them (--versions all removes them at once)"
        )
    if rest.locked:
        until = f"until {moment_text(rest.until)}" if rest.until else "(a hold, or the date is not known)"
        words.append(f"still keeps {rest.locked} objects of the log, under lock {until}: a later removal takes them")
    if rest.unknown:
        words.append(f"may still keep old versions of what was removed; it can't be looked at: {rest.unknown}")
    return words


def _repository_text(result: RepositoryResult) -> str:
    backups, finished = result.backups, result.finished
    lines = [
        retention_result_text(
            result.plan,
            removed=[*finished.removed, *backups.removed],
            freed_bytes=finished.bytes + backups.bytes + sum(one.bytes for one in result.streams),
            streams=[one.decision for one in result.streams if one.decision.keep_from],
            deferred=result.deferred,
            spared={**finished.spared, **backups.spared},
            refused=result.refused,
            left=[*finished.left, *backups.left],
        )
    ]
    lines += [f"  kept back: {refusal.message} [{refusal.code}]" for refusal in result.plan.refusals]
    lines += [
        f"  {number} files of the log were removed from {place} by the tool that keeps them there"
        for place, number in result.vendor_logs.items()
        if number
    ]
    for place, rest in result.vendor_rests.items():
        lines += [f"  {place} {words}" for words in _rest_words(rest)]
    swept = [one for one in result.swept.orphans if one.is_removed]
    if swept:
        lines.append(f"  swept: {len(swept)} leftovers that belonged to nothing, {format_bytes(result.swept.bytes)}")
        lines += [f"  {line}" for line in _first(f"  {one.place}: {one.what}" for one in swept)]
    stays = [one for one in result.swept.orphans if not one.is_removed]
    if stays:
        lines.append(f"  leftovers that could not be swept: {len(stays)}")
        lines += [f"  {line}" for line in _first(f"  {one.place}: {one.kept or one.what}" for one in stays)]
    lines += _more_lines(result.swept, indent="  ")
    lines += _strange_lines(result.swept, indent="  ")
    if result.error is not None:
        lines.append(f"  FAILED: {result.error.message} [{result.error.code}]")
    return "\n".join(lines)
