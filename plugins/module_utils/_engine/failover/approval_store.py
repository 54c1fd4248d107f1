# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans that wait for approval, and what was signed about them, in the repositories beside the ledgers.

They lie under the plan's SHA-256, since a plan has one before it has a run, and are put only where there is nothing.
Who can write there can add rubbish and nothing else: what counts is what is signed.
"""

from __future__ import annotations

import datetime
import itertools
import json
import typing as t
from dataclasses import dataclass

from ..core.clock import parse_time
from ..core.errors import (
    FailoverApprovalInvalid,
    FailoverNotRecorded,
    FailoverPlanInvalid,
    LifeboatError,
    StorageExists,
    StorageNotFound,
)
from ..storage.base import Storage
from .approval import LARGEST, PLAN, Signed, approvals_folder, is_sha256, parse_signed, plan_key, signed_key
from .plan import FailoverPlan, parse_plan

Storages = t.Mapping[str, Storage]
#: More than this many objects about one plan are no approvals.
MOST = 500
_LARGEST_PLAN = 4 * 1024 * 1024
_ATTEMPTS = 99
# A plan that is asked for again so much later is kept again: what it says of losses is new.
_NEWER = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Given:
    """What was found about a plan. *unreadable* are no approvals; *problems* are repositories that failed."""

    signed: tuple[Signed, ...]
    unreadable: tuple[str, ...]
    problems: t.Mapping[str, LifeboatError]


@dataclass(frozen=True)
class Stored:
    """Where something is now; *added* where it was not before. *problems* says of the others why not."""

    repositories: tuple[str, ...]
    added: tuple[str, ...]
    problems: t.Mapping[str, LifeboatError]


def read_given(service: str, plan_sha256: str, storages: Storages) -> Given:
    """Everything that was signed about the plan, of all repositories that answer; the same in two counts once.

    Raises what reading raises when there are repositories and none answers.
    """
    found: dict[Signed, Signed] = {}
    unreadable: list[str] = []
    problems: dict[str, LifeboatError] = {}
    for name, storage in storages.items():
        try:
            for key in _keys(service, plan_sha256, storage, plans=False):
                where = f"{name}:{key}"
                try:
                    signed = parse_signed(storage.get(key, limit=LARGEST), where=where)
                except StorageNotFound:
                    continue
                except FailoverApprovalInvalid as error:
                    unreadable.append(error.message)
                else:
                    found.setdefault(signed, signed)
        except LifeboatError as error:
            problems[name] = error
    if storages and len(problems) == len(storages):
        raise next(iter(problems.values()))
    return Given(signed=tuple(found), unreadable=tuple(unreadable), problems=problems)


def put_signed(signed: Signed, storages: Storages) -> Stored:
    """Keep it in every repository. Raises FailoverNotRecorded when none took it."""

    def put(storage: Storage) -> bool:
        for number in range(1, _ATTEMPTS + 1):
            key = signed_key(signed.statement, number=number)
            try:
                storage.put(key, signed.as_bytes())
            except StorageExists:
                if storage.get(key, limit=LARGEST) == signed.as_bytes():
                    return False
                continue  # an earlier one of the same person, or rubbish
            return True
        raise FailoverApprovalInvalid(
            f"{signed.statement.signer} has {_ATTEMPTS} approvals of this plan there already.",
            hint="Make a new plan, or give the file to whoever runs it: --out FILE",
        )

    return _everywhere(storages, put, what="approval")


def put_plan(plan: FailoverPlan, storages: Storages) -> Stored:
    """Keep the plan that approvals are asked for. Raises FailoverNotRecorded when none took it."""
    data = (json.dumps(plan.as_dict(), indent=1, sort_keys=True) + "\n").encode("utf-8")

    def put(storage: Storage) -> bool:
        there = _plans(plan.service, plan.fingerprint, storage)
        if any(parse_time(plan.made) - parse_time(one.made) < _NEWER for one in there):
            return False
        for number in range(1, _ATTEMPTS + 1):
            try:
                storage.put(plan_key(plan.service, plan.fingerprint, number=number), data)
            except StorageExists:
                continue
            return True
        return False  # asked for so often, an older one will do

    return _everywhere(storages, put, what="plan")


def read_plan(service: str, plan_sha256: str, storages: Storages) -> FailoverPlan:
    """The plan of that hash as it was made last, of all repositories that answer. Raises FailoverPlanInvalid."""
    if not is_sha256(plan_sha256):
        raise FailoverPlanInvalid(
            f"{plan_sha256[:80]!r} is not the whole SHA-256 of a plan.",
            hint="The beginning of one is not enough: two plans can share it. Give all 64 characters.",
        )
    problems: list[LifeboatError] = []
    found: list[FailoverPlan] = []
    for storage in storages.values():
        try:
            found += _plans(service, plan_sha256, storage)
        except LifeboatError as error:
            problems.append(error)
    if found:
        return max(found, key=lambda plan: parse_time(plan.made))
    why = f" ({'; '.join(one.message for one in problems)})" if problems else ""
    raise FailoverPlanInvalid(
        f"No repository has the plan {plan_sha256} of {service}{why}.",
        hint="Give the plan's file: --plan FILE   or see which wait for approval: lifeboat failover show",
        details={"plan_sha256": plan_sha256},
    )


def waiting_plans(service: str, storages: Storages) -> list[FailoverPlan]:
    """The plans that approvals were asked for, newest first. Those that can't be trusted are left out.

    Raises what reading raises when there are repositories and none answers.
    """
    names: dict[str, None] = {}
    problems: list[LifeboatError] = []
    for storage in storages.values():
        try:
            names.update(dict.fromkeys(filter(is_sha256, storage.list_folders(approvals_folder(service)))))
        except LifeboatError as error:
            problems.append(error)
    if storages and len(problems) == len(storages):
        raise problems[0]
    plans = []
    for name in names:
        try:
            plans.append(read_plan(service, name, storages))
        except FailoverPlanInvalid:
            continue
    return sorted(plans, key=lambda plan: parse_time(plan.made), reverse=True)


def parse_stored_approval(data: bytes, *, key: str) -> Signed:
    """What lies under *key*. Raises FailoverApprovalInvalid, also for one that belongs somewhere else."""
    signed = parse_signed(data, where=key)
    if not key.startswith(approvals_folder(signed.statement.service, signed.statement.plan_sha256)):
        raise FailoverApprovalInvalid(
            f"The approval {key} is about another plan, {signed.statement.plan_sha256} of {signed.statement.service}.",
            hint="It counts for nothing where it lies.",
        )
    return signed


def parse_stored_plan(data: bytes, *, key: str) -> FailoverPlan:
    """The plan that lies under *key*. Raises FailoverPlanInvalid, also for another one."""
    try:
        plan = parse_plan(json.loads(data))
        parse_time(plan.made)
    except ValueError as error:
        raise FailoverPlanInvalid(f"The plan {key} can't be read: {error}.", hint="Have it made again.") from error
    if not key.startswith(f"{approvals_folder(plan.service, plan.fingerprint)}{PLAN}"):
        raise FailoverPlanInvalid(f"What lies under {key} is another plan.", hint="Have it made again.")
    return plan


def _plans(service: str, plan_sha256: str, storage: Storage) -> list[FailoverPlan]:
    """Those that are what their place says; what was changed is left out, and can't be approved by mistake."""
    found = []
    for key in _keys(service, plan_sha256, storage, plans=True):
        try:
            found.append(parse_stored_plan(storage.get(key, limit=_LARGEST_PLAN), key=key))
        except (StorageNotFound, FailoverPlanInvalid):
            continue
    return found


def _keys(service: str, plan_sha256: str, storage: Storage, *, plans: bool) -> list[str]:
    folder = approvals_folder(service, plan_sha256)
    listed = itertools.islice(storage.list(folder), MOST)
    return [one.key for one in listed if one.key.startswith(f"{folder}{PLAN}") == plans]


def _everywhere(storages: Storages, put: t.Callable[[Storage], bool], *, what: str) -> Stored:
    there: list[str] = []
    added: list[str] = []
    problems: dict[str, LifeboatError] = {}
    for name, storage in storages.items():
        try:
            if put(storage):
                added.append(name)
            there.append(name)
        except LifeboatError as error:
            problems[name] = error
    if storages and not there:
        first = next(iter(problems.values()))
        raise FailoverNotRecorded(
            f"No repository took the {what}: {first.message}",
            hint=first.hint,
            details={"errors": {name: error.as_dict() for name, error in problems.items()}},
        ) from first
    return Stored(repositories=tuple(there), added=tuple(added), problems=problems)
