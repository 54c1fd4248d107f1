# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps by which a lost system comes back, in five phases. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .full_phases import APPLICATION, DATA, PREPARE, START, VERIFY
from .full_sources import Comeback
from .plan import ASK, FIRST_BACKUP, PREPARE as PREPARE_KIND, RESTORE, SCHEDULE, Json, PlanStep
from .region_fate import RESTORED
from .region_steps import announce_steps, application_steps, dns_step, watch_steps


def full_steps(target: Json, comebacks: t.Sequence[Comeback]) -> t.Iterator[PlanStep]:
    """Stand still, settings; databases; files and code; applications, names; questions, schedules, first backups."""
    began = "Tell them that the service is being restored."
    for phase, steps in (
        (PREPARE, announce_steps(target, name="announce-began", event="began", what=began)),
        (PREPARE, _prepare(target)),
        (PREPARE, _restore(comebacks, PREPARE)),
        (PREPARE, _prepare_again(comebacks)),
        (DATA, _restore(comebacks, DATA)),
        (APPLICATION, _restore(comebacks, APPLICATION)),
        (START, application_steps(target)),
        (START, _names(target)),
        (VERIFY, _ask(target, comebacks)),
        (VERIFY, _schedule(target)),
        (VERIFY, _first_backups(target, comebacks)),
        (VERIFY, watch_steps(target)),
        (VERIFY, announce_steps(target, name="announce", event="moved", what="Tell them that the service is back.")),
    ):
        for step in steps:
            yield replace(step, options={**step.options, "phase": phase})


def _prepare(target: Json) -> t.Iterator[PlanStep]:
    for host in target["new_hosts"]:
        names = sorted({one["name"] for one in target["applications"] if one["host"] == host and not one["outside"]})
        yield PlanStep(
            name=f"prepare-{host}",
            kind=PREPARE_KIND,
            on=host,
            what=f"Have nothing run on {host} while data come back: schedules of backups"
            + (f", {', '.join(names)}." if names else "."),
            options={"applications": names},
        )


def _prepare_again(comebacks: t.Sequence[Comeback]) -> t.Iterator[PlanStep]:
    """Settings may have brought schedules with them: those of the lost host, which would back up what is half there."""
    for host in dict.fromkeys(
        one.on for one in comebacks if one.way == RESTORED and one.phase == PREPARE and one.facts
    ):
        yield PlanStep(
            name=f"hold-{host}",
            kind=PREPARE_KIND,
            on=host,
            what=f"Have nothing run on {host} that its settings have brought back.",
            options={"applications": []},
        )


def _restore(comebacks: t.Sequence[Comeback], phase: str) -> t.Iterator[PlanStep]:
    for one in comebacks:
        if one.way != RESTORED or one.phase != phase or not one.facts:
            continue
        replaces = one.facts["replaces"]
        yield PlanStep(
            name=f"restore-{one.source}",
            kind=RESTORE,
            on=one.on,
            what=f"Restore {one.source} on {one.on}: {one.facts['backup'] or 'what was shipped'} up to {one.until}"
            + (f"; moves {replaces} aside." if replaces else "."),
            options={
                "source": one.source,
                "backup": one.facts["backup"],
                "replaces": replaces,
                # What another backup of files has put there meanwhile may be replaced, too.
                "may_replace": one.engine == "files",
            },
        )


def _names(target: Json) -> t.Iterator[PlanStep]:
    for record in target["dns"]:
        values = target["names"].get(record["name"], {}).get(record["type"])
        if values:
            before = (record.get("values") or {}).get(target["to"])
            yield dns_step(target, record, values=values, previous=before)


def _ask(target: Json, comebacks: t.Sequence[Comeback]) -> t.Iterator[PlanStep]:
    questions = {source["name"]: source["restore"]["questions"] for source in target["sources"] if "restore" in source}
    for one in comebacks:
        asked = [str(question["name"]) for question in questions.get(one.source) or ()]
        if one.way == RESTORED and asked:
            yield PlanStep(
                name=f"ask-{one.source}",
                kind=ASK,
                on=one.on,
                what=f"Ask {one.source}: {', '.join(asked)}.",
                vital=False,
                options={"source": one.source, "account": one.account},
            )


def _schedule(target: Json) -> t.Iterator[PlanStep]:
    if target["scheduled"]:
        yield PlanStep(
            name=f"schedule-{target['new_host']}",
            kind=SCHEDULE,
            on=target["new_host"],
            what=f"Have {target['new_host']} make backups by its clock again.",
            vital=False,
        )


def _first_backups(target: Json, comebacks: t.Sequence[Comeback]) -> t.Iterator[PlanStep]:
    """Of databases: what was shipped before belongs to a history that has ended. Files are those of their backup."""
    jobs = {source["name"]: source.get("first_job") for source in target["sources"]}
    for one in comebacks:
        job = jobs.get(one.source)
        if one.way == RESTORED and one.engine != "files" and job:
            yield PlanStep(
                name=f"backup-{one.source}",
                kind=FIRST_BACKUP,
                on=one.on,
                what=f"Take a first backup: {job['id']}.",
                vital=False,
                options={"source": one.source},
            )
