# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing repositories up to the others: backups, what was noted of them, and streams. See ADR 40.

Backups are copied several at a time, newest first, increments after what they build on; streams one after the other,
several segments at a time. Nothing depends on a copy having run to its end: the next one goes on.
"""

from __future__ import annotations

from ..core.host import Host
from ..core.progress import ProgressSink
from .copy_results import CopyResult
from .copy_run import CopyRun, Storages
from .copy_values import CopyPlan, CopyRequest


def plan_copy(request: CopyRequest, *, host: Host, storages: Storages | None = None) -> CopyPlan:
    """What a run would do. Changes nothing; what can't be read is among the plan's problems."""
    run = CopyRun(request, host=host, show=None, storages=storages)
    run.read()
    for target in run.targets:
        with run.watched(target):
            run.plan_target(target)
            for folder in run.lineages(target):
                with run.watched(target), run.lacking(target, folder) as (_lacking, planned):
                    run.plan.streams.append(planned)
    return run.finished_plan()


def run_copy(
    request: CopyRequest, *, host: Host, show: ProgressSink | None = None, storages: Storages | None = None
) -> CopyResult:
    """Copy what is lacking. Whatever goes wrong with one thing is in the result, and does not stop the next.

    Raises LockHeld when another copy to the same target runs on this host, and Interrupted.
    *storages* are the repositories by name where they are open already.
    """
    run = CopyRun(request, host=host, show=show, storages=storages)
    began = host.clock.monotonic()
    with run.locked():
        run.read()
        for target in run.targets:
            with run.watched(target):
                plan = run.plan_target(target)
                run.copy_backups(target, plan)
                run.copy_documents(target)
                for folder in run.lineages(target):
                    with run.watched(target), run.lacking(target, folder) as (lacking, planned):
                        run.plan.streams.append(planned)
                        run.copy_stream(target, lacking, planned)
    return run.result(seconds=host.clock.monotonic() - began)


__all__ = ("plan_copy", "run_copy")
