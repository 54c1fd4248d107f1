# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention, start to end: read every repository, plan, and then remove exactly what the plan says.

The plan is made again for the time that it was made for: when it differs from the one that was looked at, nothing is
removed. What becomes of it between that and the lease of a repository, each removal looks for after it has marked
(:mod:`prune_backups`). Backups go first, then what streams no longer need, then leftovers.
"""

from __future__ import annotations

import datetime
import os
import typing as t
from dataclasses import replace

from ..catalog.removal import REMOVED, RemovedCopy
from ..core.clock import format_time
from ..core.errors import LifeboatError, PlanChanged, StateDirectoryUnusable
from ..core.host import Host
from ..core.progress import Progress, ProgressSink
from ..core.state import StateDirectory
from ..postgresql.walg_options import WalgOptions
from ..postgresql.walg_removal import removal_options
from ..retention.costs import PriceTable, price_table_from
from ..retention.planner import plan as make_plan
from ..retention.stream_hours import StreamSummary
from ..retention.values import Elsewhere, RetentionPlan
from ..storage.base import Storage
from ..storage.registry import open_storage
from .prune_backups import finish_removals, remove_backups
from .prune_lease import Lease, take_lease
from .prune_plans import PrunePlans, ReviewedPlans, time_of
from .prune_reading import RepositoryReading, read_repositories
from .prune_results import PruneResult, RepositoryResult
from .prune_stream import prune_stream
from .prune_values import PruneRequest
from .removing import ALL
from .stray_sweep import planned_strays, sweep_strays
from .stream_pruned import StreamPruned
from .sweep import Swept, sweep_orphans
from .vendor_removals import VendorRemovals, vendor_places

_SHOWN = 5


def plan_prune(request: PruneRequest, *, host: Host, now: datetime.datetime | None = None) -> PrunePlans:
    """What would go at *now* (aware; this moment when it is left out), and why the rest stays. Reads only."""
    run = _Prune(request, host=host)
    plans = run.plan(now or host.clock.now())
    return replace(plans, leftovers=run.leftovers(plans))


def run_prune(
    request: PruneRequest,
    *,
    plan_hash: str | None = None,
    reviewed: ReviewedPlans | None = None,
    host: Host,
    show: ProgressSink | None = None,
) -> PruneResult:
    """Remove what the plan of this moment says; with *plan_hash* or *reviewed* what that plan says, or nothing.

    One repository that fails stops no other. Raises PlanChanged when the plan is another one now (and says what is
    otherwise when the whole plan was given), PlanInvalid for what is no hash of a plan, and what reading raises when
    nothing can be planned at all.
    """
    return _Prune(request, host=host).run(reviewed.hash if reviewed else plan_hash, reviewed=reviewed, show=show)


class _Prune:
    def __init__(self, request: PruneRequest, *, host: Host) -> None:
        self._request = request
        self._host = host
        self._gone: dict[str, set[str]] = {}  # ids of what this run removed, by repository
        self._data_gone: set[str] = set()  # ids of backups whose data a vendor's tool removed
        self._prices = price_table_from(request.price_table) if request.price_table else PriceTable()
        self._storages: dict[str, Storage] = {
            one.name: open_storage(one.description, name=one.name, clock=host.clock, runner=host.runner)
            for one in request.repositories
        }

    def plan(self, now: datetime.datetime) -> PrunePlans:
        """For that time, to the second: it is part of what the plan is called."""
        now = now.replace(microsecond=0)
        readings = read_repositories(self._request, self._storages, host=self._host, now=now)
        return PrunePlans(
            now=now,
            plans=tuple(self._plan_one(one.name, readings, now) for one in self._request.pruned),
            readings=readings,
            prices=self._prices,
            storage_classes={
                one.name: str(one.description["storage_class"])
                for one in self._request.repositories
                if one.description.get("storage_class")
            },
        )

    def leftovers(self, plans: PrunePlans) -> dict[str, Swept]:
        """What would be swept."""
        return {
            plan.repository: self._sweep(self._storages[plan.repository], apply=False).with_more(
                planned_strays(plans.readings[plan.repository].strays)
            )
            for plan in plans.plans
        }

    def run(self, plan_hash: str | None, *, reviewed: ReviewedPlans | None, show: ProgressSink | None) -> PruneResult:
        """Repository by repository, each under its lease."""
        plans = self.plan(self._host.clock.now() if plan_hash is None else time_of(plan_hash))
        if plan_hash is not None and plans.hash != plan_hash:
            raise _changed(plan_hash, plans, reviewed)
        results = []
        for plan in plans.plans:
            result = self._run_one(plan, plans, show=show)
            self._gone[plan.repository] = {*result.finished.removed, *result.backups.removed}
            results.append(result)
        for result in results:
            self._forget(result, plans)
        return PruneResult(plans=plans, repositories=tuple(results))

    def _plan_one(
        self, name: str, readings: t.Mapping[str, RepositoryReading], now: datetime.datetime
    ) -> RetentionPlan:
        reading = readings[name]
        return make_plan(
            reading.content,
            reading.policies,
            now=now,
            limits=self._request.limits,
            allow=self._request.allow,
            elsewhere=[
                Elsewhere(content=other.content, policies=other.policies)
                for other_name, other in readings.items()
                if other_name != name
            ],
        )

    def _run_one(self, plan: RetentionPlan, plans: PrunePlans, *, show: ProgressSink | None) -> RepositoryResult:
        storage = self._storages[plan.repository]
        progress = Progress(clock=self._host.clock, sink=show)
        holder = {"host": self._host.name, "pid": os.getpid(), "plan": plans.hash}
        started = self._host.clock.now()
        try:
            with take_lease(storage, holder=holder, now=started) as lease:
                result = self._remove(plan, plans, storage, lease, progress)
        except LifeboatError as error:
            result = RepositoryResult(plan=plan, stopped=error)
        self._record(result, started=started)
        return result

    def _remove(
        self, plan: RetentionPlan, plans: PrunePlans, storage: Storage, lease: Lease, progress: Progress
    ) -> RepositoryResult:
        reading = plans.readings[plan.repository]
        shared = self._shared(plan, plans, lease, progress)
        vendors = shared["vendors"]
        finished = finish_removals(storage, reading.removals, **shared)
        removed = remove_backups(
            storage,
            plan.removals,
            plan_hash=plans.hash,
            known=frozenset(entry.backup_id for entry in reading.content.entries),
            kept=plan.decisions,
            verifications=reading.verifications,
            others=[other for name, other in self._storages.items() if name != plan.repository],
            **shared,
        )
        return RepositoryResult(
            plan=plan,
            finished=finished,
            backups=removed,
            streams=self._prune_streams(plan, reading, storage, lease, progress),
            vendor_logs=dict(vendors.trimmed),
            vendor_rests=vendors.rests(),
            swept=self._sweep(storage, apply=True).with_more(
                sweep_strays(storage, reading.strays, host=self._host, versions=self._request.versions, lease=lease)
            ),
        )

    def _sweep(self, storage: Storage, *, apply: bool) -> Swept:
        return sweep_orphans(
            storage,
            older_than=self._request.sweep_age,
            host=self._host,
            apply=apply,
            versions=self._request.versions,
        )

    def _shared(self, plan: RetentionPlan, plans: PrunePlans, lease: Lease, progress: Progress) -> dict[str, t.Any]:
        """What every removal of backups is told."""
        others = {name: one.content for name, one in plans.readings.items() if name != plan.repository}
        ids = {name: frozenset(entry.backup_id for entry in content.entries) for name, content in others.items()}

        def has_elsewhere(backup_id: str) -> bool:
            # What can't be read may have it.
            return any(
                content.problems or backup_id in ids[name] - self._gone.get(name, set())
                for name, content in others.items()
            )

        return {
            "repository": plan.repository,
            "elsewhere": has_elsewhere,
            "host": self._host,
            "journal": self._host.journal,
            "progress": progress,
            "versions": self._request.versions,
            "deadline": lease.deadline,
            "lease": lease,
            "vendors": self._vendors(
                plans,
                named_elsewhere=lambda backup_id: any(
                    backup_id in found - self._gone.get(name, set()) for name, found in ids.items()
                ),
                unread=[name for name, content in others.items() if content.problems],
            ),
        }

    def _vendors(
        self, plans: PrunePlans, *, named_elsewhere: t.Callable[[str], bool], unread: t.Sequence[str]
    ) -> VendorRemovals:
        options: dict[tuple[str, str], list[WalgOptions]] = {}
        for policy in self._request.policies:
            if policy.walg:
                found = options.setdefault((policy.series.service, policy.series.source), [])
                one = removal_options(policy.walg)
                found += [] if one in found else [one]
        known = {
            entry.backup_id: entry.vendor
            for reading in plans.readings.values()
            for entry in reading.content.entries
            if entry.vendor is not None
        }
        return VendorRemovals(
            places=vendor_places(
                options,
                runner=self._host.runner,
                clock=self._host.clock,
                everything=self._request.versions == ALL,
            ),
            known=tuple(known.values()),
            journal=self._host.journal,
            named_elsewhere=named_elsewhere,
            unread=unread,
            gone=self._data_gone,
        )

    def _forget(self, result: RepositoryResult, plans: PrunePlans) -> None:
        """Take away the notes of removals from a repository that was pruned before the last copy went elsewhere."""
        plan = result.plan
        elsewhere = {one for name, gone in self._gone.items() if name != plan.repository for one in gone}
        removed = [one for one in plan.removals if one.entry.backup_id in elsewhere & set(result.backups.removed)]
        if not removed:
            return
        storage = self._storages[plan.repository]
        copies = [
            RemovedCopy(folder=one.entry.series.backup(one.entry.backup_id), repository=plan.repository, state=REMOVED)
            for one in removed
        ]
        try:
            holder = {"host": self._host.name, "pid": os.getpid(), "plan": plans.hash}
            with take_lease(storage, holder=holder, now=self._host.clock.now()) as lease:
                progress = Progress(clock=self._host.clock)
                finish_removals(storage, copies, **self._shared(plan, plans, lease, progress))
        except LifeboatError as error:
            # Notes that stay are taken away by the next run.
            self._host.journal.info(f"{plan.repository}: notes of removals stay for the next run: {error.message}")

    def _prune_streams(
        self, plan: RetentionPlan, reading: RepositoryReading, storage: Storage, lease: Lease, progress: Progress
    ) -> tuple[StreamPruned, ...]:
        summaries = {(one.entry.series, one.entry.lineage): one for one in reading.summaries}
        done = []
        for decision in plan.streams:
            summary: StreamSummary = summaries[decision.entry.series, decision.entry.lineage]
            if decision.keep_from or summary.is_unfinished:
                done.append(
                    prune_stream(
                        storage,
                        summary,
                        decision,
                        host=self._host,
                        progress=progress,
                        versions=self._request.versions,
                        lease=lease,
                    )
                )
        return tuple(done)

    def _record(self, result: RepositoryResult, *, started: datetime.datetime) -> None:
        document = result.as_dict()
        document["started"] = format_time(started)
        document["finished"] = format_time(self._host.clock.now())
        try:
            StateDirectory(path=self._request.state_directory).append_record(
                f"prune.{result.plan.repository}", document
            )
        except StateDirectoryUnusable as problem:
            # What became of it must not hang on it, nor be hidden by it.
            self._host.journal.warning(f"The run could not be recorded: {problem.message}")


def _changed(wanted: str, plans: PrunePlans, reviewed: ReviewedPlans | None) -> PlanChanged:
    changes = reviewed.changes(plans) if reviewed else []
    more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    said = f" {'; '.join(changes[:_SHOWN])}{more}." if changes else ""
    return PlanChanged(
        "Nothing was removed. What the repositories hold, or the policies, changed since the plan was made: another "
        f"plan would be carried out now.{said}",
        hint="Look at the new one: lifeboat prune --plan",
        details={"wanted": wanted, "now": plans.hash, "changes": changes},
    )
