# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``tools/bench.sh --only retention-plan``: how long planning takes, the catalog being read already.

No contest: the peers decide while they delete. Prints seconds for repositories of several shapes, exits with 1 when
planning 100,000 backups takes 2 s or longer.
"""

from __future__ import annotations

import argparse
import datetime
import random
import resource
import time
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.keep import keep_policy_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.retention import retention_plan_text
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.plan_document import (
    plan_document,
    plan_hash,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.planner import plan
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import (
    Entry,
    RecoverySpan,
    RepositoryContent,
    SeriesPolicy,
    StreamEntry,
    StreamHour,
)

_NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
_HOUR = datetime.timedelta(hours=1)
_LONGEST = 2.0
_GRANDFATHER = {"hourly": 48, "daily": 31, "weekly": 12, "monthly": 36, "yearly": 10}


class Shape(t.NamedTuple):
    """*series* of them, every *chain*-th a base of those that follow (0: none), proved or never."""

    series: int
    keep: dict[str, t.Any]
    chain: int = 0
    state: str = "verified"
    stream: bool = False
    timezone: str = "UTC"


SHAPES: dict[str, Shape] = {
    "one series, 30 days": Shape(1, {"within": "30d"}),
    "50 series, everything by calendar": Shape(50, {"within": "7d", **_GRANDFATHER}, timezone="Europe/Berlin"),
    "500 series, increments": Shape(500, {"within": "7d"}, chain=24),
    "50 series, all stay for want of proof": Shape(50, {"within": "7d"}, state="complete"),
    "10 series, each base of a stream": Shape(10, {"within": "30d"}, stream=True),
}


def main() -> int:
    """Plan each shape some times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backups", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    slowest = 0.0
    for name, shape in SHAPES.items():
        content, policies = _repository(shape, chosen.backups)
        seconds, busy = [], []
        made: t.Any = None
        for _run in range(chosen.runs):
            started, worked = time.perf_counter(), time.process_time()
            made = plan(content, policies, now=_NOW, allow=frozenset({"share", "number"}))
            seconds.append(time.perf_counter() - started)
            busy.append(time.process_time() - worked)
        slowest = max(slowest, sorted(seconds)[len(seconds) // 2])
        spread = f"{min(seconds):.2f} to {max(seconds):.2f} s ({min(busy):.2f} to {max(busy):.2f} s of the processor)"
        print(f"{name}: {len(made.decisions)} backups planned in {spread}; {len(made.removals)} go", flush=True)
        _tell_rest(made)
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    verdict = "met" if slowest < _LONGEST else "MISSED"
    print(f"{verdict}: {chosen.backups} backups in under {_LONGEST:.0f} s; the slowest median is {slowest:.2f} s")
    return 0 if slowest < _LONGEST else 1


def _tell_rest(made: t.Any) -> None:
    for what, act in (("hash", plan_hash), ("document", plan_document), ("text", retention_plan_text)):
        started = time.perf_counter()
        act(made)
        print(f"  its {what}: {time.perf_counter() - started:.2f} s", flush=True)


def _repository(shape: Shape, backups: int) -> tuple[RepositoryContent, list[SeriesPolicy]]:
    entries: list[Entry] = []
    streams: list[StreamEntry] = []
    policies = []
    for number in range(shape.series):
        series = Series("bench", f"source-{number}", "full")
        made = _entries(series, backups // shape.series, shape)
        entries += made
        policies.append(SeriesPolicy(series, (keep_policy_from(shape.keep),), timezone=shape.timezone))
        if shape.stream:
            streams.append(_stream(Series("bench", f"source-{number}", "oplog"), made))
            span = keep_policy_from({"within": "8d"})
            policies.append(SeriesPolicy(streams[-1].series, (span,), is_stream=True))
    random.Random(1).shuffle(entries)
    return RepositoryContent("bench", tuple(entries), streams=tuple(streams)), policies


def _entries(series: Series, count: int, shape: Shape) -> list[Entry]:
    made: list[Entry] = []
    base = ""
    for number in range(count):
        began = _NOW - _HOUR * (count - number)
        backup_id = f"{began:%Y%m%dT%H%M%SZ}-{number % 0xFFFFFF:06x}"
        is_base = not shape.chain or number % shape.chain == 0
        made.append(
            Entry(
                series=series,
                backup_id=backup_id,
                engine="mongodb",
                started=began,
                finished=began + _HOUR / 4,
                state=shape.state,
                stored_bytes=10_000_000 + number,
                parent=None if is_base else base,
                labels={"job": "bench"},
                checksum=f"{number:064x}",
            )
        )
        base = backup_id if is_base else base
    return made


def _stream(series: Series, bases: t.Sequence[Entry]) -> StreamEntry:
    hours = tuple(
        StreamHour(f"{one.started:%Y%m%d%H}", segments=60, stored_bytes=60_000, ends=one.started + _HOUR)
        for one in bases
    )
    return StreamEntry(
        series,
        "lineage",
        "mongodb",
        hours,
        needed_from={one.backup_id: f"{one.finished:%Y%m%d%H}" for one in bases},
        windows=tuple(RecoverySpan("lineage", one.backup_id, one.finished, _NOW) for one in bases),
    )


if __name__ == "__main__":
    raise SystemExit(main())
