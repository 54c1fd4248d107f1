# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thirty policies over three years of backups: what each keeps is committed, and a change of it is seen in a review.

    PYTHONPATH=.collections python -m tests.unit.retention.golden_plans

writes the files in ``golden/`` anew. Each holds every backup that stays with its reasons (where they are many, those
with the same reasons together), what goes by its reasons, and a hash over every single decision with every reason.
"""

from __future__ import annotations

import functools
import hashlib
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.retention import _combined, _shape
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.stream_spans import moment_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    KEPT,
    REMOVED,
    Decision,
    RepositoryContent,
    RetentionPlan,
    SeriesPolicy,
)
from tests.unit.retention.golden_catalogs import CATALOGS, Catalog
from tests.unit.retention.samples import FULL, INCREMENTAL, MUCH, NOW, OPLOG

FOLDER = Path(__file__).parent / "golden"
#: More than so many that stay are told together.
_MOST = 60


class Case(t.NamedTuple):
    """A policy over a catalog. *increments* and *oplog* are those of the other series, *allow* lifts guards."""

    catalog: str
    keep: dict[str, t.Any]
    timezone: str = "UTC"
    increments: dict[str, t.Any] | None = None
    oplog: dict[str, t.Any] | None = None
    allow: frozenset[str] = MUCH


CASES: t.Mapping[str, Case] = {
    "01-within-30d": Case("daily", {"within": "30d"}),
    "02-within-a-year": Case("daily", {"within": "1y"}),
    "03-count": Case("daily", {"count": 7}),
    "04-count-one": Case("daily", {"count": 1, "minimum_verified": 0}),
    "05-daily-utc": Case("daily", {"daily": 14}),
    "06-daily-berlin": Case("four-hourly", {"daily": 14}, timezone="Europe/Berlin"),
    "07-daily-kathmandu": Case("four-hourly", {"daily": 14}, timezone="Asia/Kathmandu"),
    "08-weekly": Case("four-hourly", {"weekly": 60}),
    "09-monthly": Case("four-hourly", {"monthly": 24}),
    "10-yearly": Case("four-hourly", {"yearly": 10}),
    "11-hourly": Case("hourly", {"hourly": 48}),
    "12-hourly-berlin": Case("hourly", {"hourly": 800}, timezone="Europe/Berlin"),
    "13-grandfather": Case("hourly", {"hourly": 24, "daily": 7, "weekly": 5, "monthly": 12, "yearly": 5}),
    "14-grandfather-berlin": Case(
        "daily", {"daily": 7, "weekly": 4, "monthly": 12, "yearly": 3}, timezone="Europe/Berlin"
    ),
    "15-everything": Case(
        "four-hourly", {"within": "2d", "count": 20, "hourly": 24, "daily": 7, "weekly": 4, "monthly": 6, "yearly": 2}
    ),
    "16-forever": Case("weekly", {"forever": True}),
    "17-weekly-12w": Case("weekly", {"within": "12w"}),
    "18-weekly-never-proved": Case("weekly", {"within": "12w", "minimum_verified": 60}),
    "19-on-change-90d": Case("on-change", {"within": "90d"}),
    "20-on-change-monthly": Case("on-change", {"monthly": 12, "yearly": 3}),
    "21-on-change-daily": Case("on-change", {"daily": 30, "minimum_verified": 10}),
    "22-chained-30d": Case("chained", {"within": "30d"}, increments={"within": "7d"}),
    "23-chained-months": Case("chained", {"weekly": 4, "monthly": 12}, increments={"daily": 10, "monthly": 3}),
    "24-by-day-week": Case("by-day", {"within": "7d"}, increments={"within": "7d"}),
    "25-by-day-thinned": Case("by-day", {"daily": 7, "weekly": 4}, increments={"within": "3d", "weekly": 8}),
    "26-troubled-guarded": Case("troubled", {"within": "30d"}, allow=frozenset()),
    "27-troubled-allowed": Case("troubled", {"within": "30d"}, allow=MUCH | {"newest-failed"}),
    "28-troubled-count": Case("troubled", {"count": 60, "minimum_verified": 5}, allow=MUCH | {"newest-failed"}),
    "29-oplog-24h": Case("with-oplog", {"within": "30d"}, oplog={"within": "24h"}),
    "30-oplog-120d": Case("with-oplog", {"count": 3}, oplog={"within": "120d"}),
}


@functools.cache
def _catalog(name: str) -> Catalog:
    return CATALOGS[name]()


def plan_of(case: Case) -> RetentionPlan:
    """The plan of a case."""
    entries, streams = _catalog(case.catalog)
    policies = [SeriesPolicy(FULL, (keep_policy_from(case.keep),), timezone=case.timezone)]
    if case.increments:
        policies.append(SeriesPolicy(INCREMENTAL, (keep_policy_from(case.increments),), timezone=case.timezone))
    if case.oplog:
        policies.append(SeriesPolicy(OPLOG, (keep_policy_from(case.oplog),), is_stream=True))
    whole = RepositoryContent("local", tuple(entries), streams=tuple(streams))
    return plan(whole, policies, now=NOW, allow=case.allow)


def text_of(case: Case) -> str:
    """The golden file of a case."""
    made = plan_of(case)
    lines = [f"catalog: {case.catalog}, {len(made.decisions)} backups: {CATALOGS[case.catalog].__doc__}"]
    for policy in made.policies:
        zone = "" if policy.is_stream else f" ({policy.timezone})"
        lines.append(f"{policy.series.kind}: {policy.keeps[0].describe()}{zone}")
    lines += [f"refused: {one.message} [{one.code}]" for one in made.refusals]
    lines += [f"allowed: {one.message} [{one.code}]" for one in made.overridden]
    for series in sorted({one.entry.series for one in made.decisions}, key=lambda one: one.folder):
        of_series = [one for one in made.decisions if one.entry.series == series]
        staying = [one for one in of_series if one.verdict == KEPT]
        going = [one for one in of_series if one.verdict == REMOVED]
        lines += ["", f"{series.kind}: {len(staying)} stay, {len(going)} go"]
        groups = [[one] for one in staying] if len(staying) <= _MOST else _together(staying)
        lines += [f"  stays  {_names(group)}  {_reasons(group)}" for group in groups]
        lines += [f"  goes   {_names(group)}  {_reasons(group)}" for group in _together(going)]
    for stream in made.streams:
        lines += [
            "",
            f"{stream.entry.series.kind} {stream.entry.lineage}: from {stream.keep_from or 'its beginning'} on",
        ]
        lines += [
            f"  {stream.removed_hours} hours go, {stream.removed_segments} segments, {stream.removed_bytes} bytes"
        ]
        lines += [f"  {reason}" for reason in stream.reasons]
    for name, windows in (("before", made.windows_before), ("after", made.windows_after)):
        if windows:
            begins, ends = min(one.begins for one in windows), max(one.ends for one in windows)
            lines.append(f"  windows {name}: {len(windows)}, {moment_text(begins)} to {moment_text(ends)}")
    return "\n".join([*lines, "", f"every decision: {_digest(made)}", ""])


def _together(decisions: t.Iterable[Decision]) -> list[list[Decision]]:
    groups: dict[tuple[str, bool], list[Decision]] = {}
    for decision in decisions:
        groups.setdefault((_shape(decision.reasons), decision.held_back), []).append(decision)
    return list(groups.values())


def _names(group: t.Sequence[Decision]) -> str:
    first, last = (moment_text(one.entry.started) for one in (group[0], group[-1]))
    if len(group) == 1:
        return f"{first} {group[0].entry.state}"
    return f"{len(group)} from {first} to {last}"


def _reasons(group: t.Sequence[Decision]) -> str:
    held = "HELD BACK: " if group[0].held_back else ""
    reasons: str = _combined(["; ".join(one.reasons) for one in group])
    return held + reasons


def _digest(made: RetentionPlan) -> str:
    lines = [f"{one.entry.series.folder}{one.entry.backup_id} {one.verdict} {one.reasons}" for one in made.decisions]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def path_of(name: str) -> Path:
    """Where the golden file of a case lies."""
    return FOLDER / f"{name}.txt"


def main() -> None:
    """Write all of them anew, and remove those of cases that are no more."""
    FOLDER.mkdir(exist_ok=True)
    for name, case in CASES.items():
        path_of(name).write_text(text_of(case), encoding="utf-8")
    for path in FOLDER.glob("*.txt"):
        if path.stem not in CASES:
            path.unlink()


if __name__ == "__main__":
    main()
