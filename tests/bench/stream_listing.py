# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.bench.stream_listing``: how long listing a million segments takes, from the indexes of their hours.

No contest: nobody else has such a list. Prints seconds for all of them, for one day in the middle, for the newest end.
"""

from __future__ import annotations

import argparse
import datetime
import resource
import tempfile
import time
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.index import make_index
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.layout import hour_of
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.reader import read_newest, read_streams
from tests.support.clocks import FakeClock
from tests.unit.streams.samples import FOLDER, START, record, segment

_HOUR = datetime.timedelta(hours=1)


def main() -> int:
    """Write the indexes into a folder, and read them back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=11_000)
    parser.add_argument("--segments", type=int, default=91, help="in each hour")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = LocalStorage(path=folder)
        for hour in range(chosen.hours):
            moment = START + _HOUR * hour
            first = hour * chosen.segments
            one = record(*[segment(first + number + 1) for number in range(chosen.segments)], made=moment)
            storage.put(
                FOLDER.index_key(hour_of(moment)), make_index([one], hour=hour_of(moment), made=moment).as_bytes()
            )
        now = FakeClock(START + _HOUR * chosen.hours)
        middle = hour_of(START + _HOUR * (chosen.hours // 2))
        day = hour_of(START + _HOUR * (chosen.hours // 2 + 23))
        stored = {"it": storage}
        _tell("the newest end", lambda: read_newest(stored, FOLDER.series, clock=now))
        _tell("one day", lambda: read_streams(stored, FOLDER.series, since=middle, until=day, clock=now))
        _tell("all", lambda: read_streams(stored, FOLDER.series, clock=now))
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    return 0


def _tell(what: str, read: t.Callable[[], t.Any]) -> None:
    started, worked = time.perf_counter(), time.process_time()
    (stream,) = read()
    seconds, busy = time.perf_counter() - started, time.process_time() - worked
    print(f"{what}: {len(stream.segments)} segments in {seconds:.2f} s ({busy:.2f} s of the processor)", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
