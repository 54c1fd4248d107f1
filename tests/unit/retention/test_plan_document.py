# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as a document: its hash changes with whatever changes a removal, and with nothing else."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import jsonschema
import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import document_checksum
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import PlanInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.costs import (
    plan_costs,
    price_table_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.plan_document import (
    differences,
    parse_plan,
    plan_document,
    plan_hash,
    summary,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.plan_schema import PLAN_SCHEMA
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    Entry,
    Limits,
    Pin,
    RetentionPlan,
    StreamEntry,
)
from tests.unit.retention.samples import (
    DAY,
    FULL,
    HOUR,
    INCREMENTAL,
    MUCH,
    NOW,
    OPLOG,
    content,
    daily,
    entry,
    policy,
    stream,
)

POLICIES = (policy(), policy(INCREMENTAL), policy(OPLOG, keep={"within": "2d"}, is_stream=True))
ENTRIES = tuple(daily(35))
LOG = stream(NOW - 9 * DAY, NOW, bases=ENTRIES)
PRICES = price_table_from({"currency": "EUR", "classes": {"default": {"gib_month": 0.02, "minimum_days": 60}}})


def made_of(entries: t.Iterable[Entry] = ENTRIES, *streams: StreamEntry, **more: t.Any) -> RetentionPlan:
    values = {"now": NOW, **more}
    whole = {name: values.pop(name) for name in ("clock_skew", "problems", "unfinished_removals") if name in values}
    return plan(content(entries, *(streams or (LOG,)), **whole), values.pop("policies", POLICIES), **values)


def written(made: RetentionPlan) -> t.Any:
    """As it comes back from a file."""
    return json.loads(json.dumps(plan_document(made)))


def changed(number: int, **values: t.Any) -> tuple[Entry, ...]:
    return tuple(dataclasses.replace(one, **values) if place == number else one for place, one in enumerate(ENTRIES))


def test_the_document_is_what_its_schema_says_and_can_be_read_back() -> None:
    refused = [*ENTRIES, entry(NOW - HOUR, "failed", series=INCREMENTAL, parent=ENTRIES[-1].backup_id)]
    refused += daily(40, series=INCREMENTAL, hour=3, locked_until=NOW + DAY)
    made = made_of(refused, unfinished_removals=("family/main/full/20200101T000000Z-aaaaaa/",))
    assert made.refusals
    assert made.removals
    assert made.windows_after
    document = plan_document(made, costs=plan_costs(made, PRICES))
    jsonschema.validate(document, PLAN_SCHEMA, format_checker=jsonschema.FormatChecker())
    read = parse_plan(written(made))
    assert read.document == plan_document(made)
    assert (read.repository, read.planned, read.plan_hash) == ("local", NOW, plan_hash(made))
    assert read.removals == {(FULL.folder, one.entry.backup_id) for one in made.removals}
    assert read.cuts == {(OPLOG.folder, "rs0", made.streams[0].keep_from)}
    assert differences(read, made) == ()


def test_a_plan_of_nothing_can_be_read_back() -> None:
    made = plan(content(()), (), now=NOW)
    assert parse_plan(written(made)).plan_hash == plan_hash(made)


def test_the_summary_counts_what_goes_and_stays() -> None:
    made = made_of([*ENTRIES, entry(NOW - HOUR, "failed", series=INCREMENTAL), *daily(40, series=INCREMENTAL, hour=3)])
    assert summary(made) == {
        "kept": 71,
        "kept_bytes": 71_000_000,
        "removed": 5,
        "removed_bytes": 5_000_000,
        "held_back": 10,
        "removed_hours": 158,
        "removed_segments": 1580,
        "removed_stream_bytes": 1_580_000,
    }


SAME: dict[str, t.Callable[[], RetentionPlan]] = {
    "nothing changed": made_of,
    "another order": lambda: made_of(ENTRIES[::-1], policies=POLICIES[::-1]),
    "a backup came later": lambda: made_of([*ENTRIES, entry(NOW + HOUR)]),
    "a backup that was being made is complete now": lambda: made_of([*ENTRIES, entry(NOW - HOUR, finished=NOW + HOUR)]),
    "a copy was brought here later": lambda: made_of([*ENTRIES, entry(NOW - 50 * DAY, stored=NOW + HOUR, number=1)]),
    "one that came later failed": lambda: made_of([*ENTRIES, entry(NOW + HOUR, "failed")]),
    "the stream went on": lambda: made_of(ENTRIES, stream(NOW - 9 * DAY, NOW + 9 * HOUR, bases=ENTRIES)),
    "one that stays anyway was pinned": lambda: made_of(changed(30, pins=(Pin("p", "r", NOW + HOUR),))),
    "a lock was extended": lambda: made_of(changed(0, locked_until=NOW + 9 * DAY)),
    "something else was left unfinished": lambda: made_of(unfinished_removals=("x/",)),
    "other limits": lambda: made_of(limits=Limits(number=6)),
    "the clocks drift": lambda: made_of(clock_skew=12.0),
}
OTHER: dict[str, tuple[t.Callable[[], RetentionPlan], str]] = {
    "another time": (lambda: made_of(now=NOW + HOUR), "and not for 2026-11-21T13:00:00Z"),
    "another policy": (
        lambda: made_of(policies=(policy(keep={"within": "31d"}), *POLICIES[1:])),
        "family/main/full/20261022T020000Z-000000 would stay now",
    ),
    "one was pinned": (
        lambda: made_of(changed(0, pins=(Pin("p", "r", NOW + HOUR),))),
        "family/main/full/20261018T020000Z-000000 would stay now",
    ),
    "one was verified since": (lambda: made_of(changed(30, state="complete")), "was changed since"),
    "one is gone": (lambda: made_of(ENTRIES[1:]), "family/main/full/20261018T020000Z-000000 would stay now"),
    "one that stays is gone": (lambda: made_of(ENTRIES[:-1]), "was changed since"),
    "an older one appeared": (
        lambda: made_of([*ENTRIES, entry(NOW - 50 * DAY)]),
        "family/main/full/20261002T120000Z-000000 would go now",
    ),
    "an increment began": (
        lambda: made_of([*ENTRIES, entry(NOW + HOUR, series=INCREMENTAL, parent=ENTRIES[0].backup_id)]),
        "family/main/full/20261018T020000Z-000000 would stay now",
    ),
    "another manifest": (lambda: made_of(changed(30, checksum="other")), "was changed since"),
    "the newest failed since": (
        lambda: made_of(changed(34, state="failed")),
        "failed its verification. [retention.newest_failed]",
    ),
    "something can't be read now": (lambda: made_of(problems=("x",)), "[retention.unreadable]"),
    "the clocks are off now": (lambda: made_of(clock_skew=4000.0), "[retention.clock]"),
    "another override": (lambda: made_of(allow=MUCH), "other guards are overridden"),
    "the stream was cut meanwhile": (
        lambda: made_of(ENTRIES, dataclasses.replace(LOG, floor="2026111500", hours=LOG.hours[50:])),
        "was changed since",
    ),
    "the stream lost an hour": (
        lambda: made_of(ENTRIES, dataclasses.replace(LOG, hours=LOG.hours[:-20] + LOG.hours[-19:])),
        "was changed since",
    ),
    "the stream's policy": (
        lambda: made_of(policies=(*POLICIES[:2], policy(OPLOG, keep={"within": "5d"}, is_stream=True))),
        "family/main/oplog/rs0 would be kept from another hour on",
    ),
    "another repository": (
        lambda: plan(content(ENTRIES, LOG, name="offsite"), POLICIES, now=NOW),
        "a plan for local and not for offsite",
    ),
}


@pytest.mark.parametrize("made", SAME.values(), ids=SAME)
def test_the_hash_is_the_same_when_what_goes_is(made: t.Callable[[], RetentionPlan]) -> None:
    assert plan_hash(made()) == plan_hash(made_of())


@pytest.mark.parametrize(("made", "words"), OTHER.values(), ids=OTHER)
def test_anything_else_makes_another_plan_and_says_what(made: t.Callable[[], RetentionPlan], words: str) -> None:
    before, now = made_of(), made()
    assert before.removals
    assert plan_hash(now) != plan_hash(before)
    found = differences(parse_plan(written(before)), now)
    assert any(words in one for one in found), found


def resealed(document: dict[str, t.Any]) -> dict[str, t.Any]:
    return {**document, "checksum": document_checksum(document)}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda it: it["backups"].pop(0), "its hash is not that of what it would remove"),
        (lambda it: it["backups"][0].update(verdict="kept"), "its hash is not that of what it would remove"),
        (lambda it: it["streams"][0].update(keep_from="2026112100"), "its hash is not that of what it would remove"),
        (lambda it: it.update(allow=["overdue"]), "its hash is not that of what it would remove"),
        (lambda it: it.update(planned="2026-11-22T12:00:00Z"), "its hash is not that of what it would remove"),
        (lambda it: it.update(state="0" * 64), "its hash is not that of what it would remove"),
        (lambda it: it.update(repository="Other/"), "repository"),
        (lambda it: it.update(planned="today"), "planned"),
        (lambda it: it.update(format="lifeboat-backup"), "format: lifeboat-retention-plan"),
        (lambda it: it.update(format_version=2), "format_version is 2"),
        (lambda it: it.update(hash="x"), "hash"),
        (lambda it: it.pop("backups"), "backups"),
        (lambda it: it["backups"][0].update(id="../x"), "id"),
        (lambda it: it["streams"][0].update(keep_from="yesterday"), "keep_from"),
    ],
)
def test_a_plan_that_was_changed_by_hand_is_refused(change: t.Callable[[dict[str, t.Any]], object], why: str) -> None:
    document = plan_document(made_of())
    change(document)
    with pytest.raises(PlanInvalid) as caught:
        parse_plan(resealed(document))
    assert why in caught.value.message
    assert "lifeboat prune --plan" in caught.value.hint
    with pytest.raises(PlanInvalid):
        parse_plan(document)


@pytest.mark.parametrize("value", [None, "", [], {}, {"format": "lifeboat-retention-plan"}])
def test_what_is_no_plan_is_refused(value: t.Any) -> None:
    with pytest.raises(PlanInvalid, match="no retention plan that can be trusted"):
        parse_plan(value)
