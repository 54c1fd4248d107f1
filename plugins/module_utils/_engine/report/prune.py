# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of all repositories for people, with what to type next; and what became of them."""

from __future__ import annotations

from ..core.clock import format_time
from ..operations.label_pins import LabelPinResult
from ..operations.pins import PinResult
from ..operations.prune_plans import PrunePlans
from ..operations.prune_results import PruneResult, RepositoryResult
from ..operations.vendor_plans import VendorPlan
from ..recovery.vendor_storage import VendorRest
from ..retention.stream_spans import moment_text
from .retention import retention_plan_text, retention_result_text
from .text import format_bytes

_SHOWN = 10


def plans_text(plans: PrunePlans, *, everything: bool = False) -> str:
    """What would go where, and how to have it done."""
    texts = [retention_plan_text(plan, costs=plans.costs_of(plan), everything=everything) for plan in plans.plans]
    texts += [_vendor_text(one) for one in plans.vendors]
    if plans.removes_something:
        texts.append(f"Nothing was removed. To have exactly this done: lifeboat prune --apply {plans.hash}")
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
    removed = result.backups
    lines = [
        retention_result_text(
            result.plan,
            removed=removed.removed,
            freed_bytes=removed.bytes + sum(one.bytes for one in result.streams),
            streams=[one.decision for one in result.streams if one.decision.keep_from],
            deferred=result.deferred,
            spared=removed.spared,
            refused=removed.refused,
            left=removed.left,
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
        lines += [f"    {one.place}: {one.what}" for one in swept[:_SHOWN]]
    if result.error is not None:
        lines.append(f"  FAILED: {result.error.message} [{result.error.code}]")
    return "\n".join(lines)
