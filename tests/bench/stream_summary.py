# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``tools/bench.sh --only stream-summary``: how long retention takes to sum up a lineage of a million segments.

The promise is under 60 seconds and under 300 MB. No contest: nobody else has such a list. With ``--prune`` half of the
hours are then removed, of which there are no segments here: what is measured is what is read to remove them. So of
segments that no record names only the names are kept that they would be held against.
"""

from __future__ import annotations

import argparse
import datetime
import resource
import tempfile
import time
import typing as t
from dataclasses import replace

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.catalog import Backup
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock, format_time
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.marked_streams import STREAM_MARKS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_stream import prune_stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.prune_values import SWEEP_AGE
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.stray_segments import (
    StrayRules,
    StraySearch,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.stream_hours import (
    StreamSummary,
    summarise_stream,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.retention.values import StreamDecision
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import StreamFolder
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import Segment
from tests.support.stream_hours import BEGIN, HOUR, hour, put_index, record_of
from tests.unit.mongodb.oplog_entries import stream as oplog_stream
from tests.unit.postgresql.wal_archives import base, lsn, segment as wal_segment, stream as wal_stream
from tests.unit.redis.made_pieces import base as aof_base, increment, stored, stream as aof_stream

_SECONDS, _MEGABYTES = 60, 300
# A rewrite of the append-only file in so many pieces.
_REWRITE = 500


def main() -> int:
    """Write the indexes into a folder, and sum them up; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=11_000)
    parser.add_argument("--segments", type=int, default=91, help="in each hour")
    parser.add_argument("--engine", choices=sorted(STREAM_MARKS), default="postgresql")
    parser.add_argument("--prune", action="store_true", help="then remove half of the hours")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        storage = LocalStorage(path=folder)
        place, bases = _fill(storage, chosen.engine, hours=chosen.hours, each=chosen.segments)
        print(f"before: {_peak()} MB", flush=True)
        now = BEGIN + HOUR * chosen.hours
        rules = StrayRules(horizon=now - SWEEP_AGE, now=now, share=0.5, share_from=10)
        summary, seconds = _timed(
            lambda: summarise_stream(
                storage,
                place,
                engine=chosen.engine,
                bases=bases,
                marks=STREAM_MARKS[chosen.engine],
                now=now,
                listener=StraySearch(storage, rules).of(place),
            )
        )
        peak = _peak()
        count = sum(one.segments for one in summary.entry.hours)
        print(f"summed up: {count} segments in {seconds:.1f} s; at most {peak} MB", flush=True)
        print(
            f"{len(summary.entry.needed_from) + len(summary.entry.own_bases)} bases, {len(summary.problems)} problems"
        )
        if chosen.prune:
            _prune(storage, summary, hours=chosen.hours)
    return 0 if seconds < _SECONDS and peak < _MEGABYTES else 1


def _prune(storage: LocalStorage, summary: StreamSummary, *, hours: int) -> None:
    decision = StreamDecision(
        entry=summary.entry,
        keep_from=hour(hours // 2),
        removed_hours=0,
        removed_segments=0,
        removed_bytes=0,
        reasons=(),
    )
    done, seconds = _timed(
        lambda: prune_stream(storage, summary, decision, host=Host(), progress=Progress(clock=SystemClock()))
    )
    print(f"removed: {done.segments} segments of {done.hours} hours in {seconds:.1f} s; at most {_peak()} MB")
    if not done.is_finished:
        raise SystemExit(str(done))


def _timed(work: t.Callable[[], t.Any]) -> tuple[t.Any, float]:
    started, worked = time.perf_counter(), time.process_time()
    done = work()
    print(f"{time.process_time() - worked:.1f} s of the processor")
    return done, time.perf_counter() - started


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _fill(storage: LocalStorage, engine: str, *, hours: int, each: int) -> tuple[StreamFolder, list[Backup]]:
    """The indexes of so many hours; the folder, and a base of every day where bases are backups."""
    folder: StreamFolder = {"postgresql": wal_stream(), "mongodb": oplog_stream([]), "redis": aof_stream()}[
        engine
    ].folder
    made = {"postgresql": _wal, "mongodb": _slice, "redis": _piece}[engine]
    for number in range(hours):
        segments = [made(number * each + one + 1) for one in range(each)]
        put_index(storage, [record_of(folder, segments, number=number, engine=engine)], with_records=False)
    days = range(1, hours * each, 24 * each)
    return folder, [base(number, mark=f"{number % (1 << 24):06x}") for number in days] if engine == "postgresql" else []


def _wal(number: int) -> Segment:
    facts = {
        "first_lsn": lsn(number),
        "last_lsn": lsn(number + 1),
        "magic": "D113",
        "server_major": 16,
        "filled_bytes": 16777216,
        "first_commit": format_time(BEGIN + datetime.timedelta(minutes=number)),
        "commits_complete": True,
    }
    found: Segment = wal_segment(number, sha256=f"{number:064x}", facts=facts).segment
    return found


def _slice(number: int) -> Segment:
    from tests.unit.mongodb.oplog_entries import segment

    found: Segment = segment(_oplog_slice(1_700_000_000 + 10 * number))
    return found


def _oplog_slice(second: int) -> t.Any:
    """From that second to ten seconds later."""
    from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.oplog_slice import (
        EntryMark,
        OplogSlice,
    )
    from tests.unit.mongodb.oplog_entries import LINEAGE, SET_ID

    return OplogSlice(
        lineage=LINEAGE,
        first=EntryMark((second, 1), 1, f"{second:064x}"),
        last=EntryMark((second + 10, 1), 1, f"{second + 10:064x}"),
        entries=1000,
        size=200_000,
        sha256=f"{second:064x}",
        replica_set="rs0",
        replica_set_id=SET_ID,
        server_version="6.0.5",
        feature_compatibility="6.0",
        member="127.0.0.1:27017",
        bases_from=(1_700_000_000, 1),
        needs_from=(second, 1),
    )


def _piece(number: int) -> Segment:
    """Pieces of ten seconds; every few hundred of them the file is rewritten."""
    generation, place = divmod(number, _REWRITE)
    second, begin = 1_700_000_000 + 10 * number, 100 * (place - 1)
    if place == 0:
        found: Segment = stored(aof_base(generation + 1, holds=second, size=5000), sha256=f"{number:064x}").segment
        return found
    made = increment(generation + 1, begin, begin + 100, seconds=(second, second + 9), covered=second + 9)
    if place == 1:
        made = replace(made, previous=(generation, 100 * (_REWRITE - 1)))
    return t.cast("Segment", stored(made, sha256=f"{number:064x}").segment)


if __name__ == "__main__":
    raise SystemExit(main())
