# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What capturing the oplog costs the server, at 1,000 writes a second and with a login for each capture.

The writes of one interval are made at once, then a look and a capture follow on a server that has nothing else to do:
its processor time from before to after, less what it uses while idle, is what capturing them costs. Divided by the
interval it is the share of a core that a capture in each such interval takes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from sandbox.mongodb import MongoReplicaSet

from . import processes
from .command import Command
from .contest import Contender, Contest, Limit
from .measuring import Measurement
from .place import Place

_ROOT = Path(__file__).resolve().parents[2]
WRITES_A_SECOND = 1000
_URI = "LIFEBOAT_BENCH_URI"
_INTERVALS = (10, 60)
_CAPTURES = {10: 12, 60: 3}
_SETTLE_SECONDS = 1.5
# Millionths of a core.
_LIMIT = 20_000


@contextlib.contextmanager
def guarded_set(place: Place) -> t.Iterator[MongoReplicaSet]:
    """A set of one member that asks for a password, as in production: each connection pays for its login."""
    server = MongoReplicaSet(
        directory=place.server_folder("mongodb-guarded"),
        cache_gigabytes=1,
        startup_timeout=120,
        password="bench-secret",
    )
    try:
        yield server.start()
    finally:
        server.discard()


@contextlib.contextmanager
def oplog_capture_contest(server: MongoReplicaSet, place: Place) -> t.Iterator[Contest]:
    """One contender for each interval; they differ in how much one capture has to read."""
    del place
    yield Contest(
        name="oplog-capture",
        title="Capture of the oplog of a MongoDB replica set",
        data=f"{WRITES_A_SECOND} inserts a second of about 200 bytes, read from the primary",
        data_bytes=0,
        contenders=tuple(
            Contender(str(seconds), f"a look and a capture every {seconds} s", _preparing(server, seconds))
            for seconds in _INTERVALS
        ),
        figures=(),
        limits=tuple(
            Limit(
                f"less than 2 % of a core of the server, every {seconds} s",
                str(seconds),
                share_of,
                _LIMIT,
                show=lambda value: f"{value / 10_000:.2f} % of a core",
            )
            for seconds in _INTERVALS
        ),
        server_pids=lambda: [node.pid for node in server.nodes],
        settle=lambda: None,
    )


def share_of(one: Measurement) -> int:
    """Millionths of a core, as the run said."""
    return int(json.loads(one.output.splitlines()[-1])["millionths"])


def _preparing(server: MongoReplicaSet, seconds: int) -> t.Callable[[Path], Command]:
    def prepare(target: Path) -> Command:
        request = {"seconds": seconds, "captures": _CAPTURES[seconds], "pid": server.nodes[0].pid, "place": str(target)}
        return Command(
            argv=(sys.executable, "-m", "tests.bench.oplog_capture", json.dumps(request)),
            target=target,
            environment={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tools' / 'typing'}", _URI: server.uri},
        )

    return prepare


def main() -> int:
    """Write, capture, measure; the last line printed has the figures."""
    asked = json.loads(sys.argv[1])
    folder = Path(tempfile.mkdtemp(dir=asked["place"]))
    print(json.dumps(_measured(asked, uri=os.environ[_URI], folder=folder)))
    return 0


def _measured(asked: t.Mapping[str, t.Any], *, uri: str, folder: Path) -> dict[str, t.Any]:
    import pymongo

    from lifeboat.catalog.layout import Series
    from lifeboat.core.clock import SystemClock
    from lifeboat.core.host import Host
    from lifeboat.core.progress import Progress
    from lifeboat.core.state import StateDirectory
    from lifeboat.mongodb.oplog_options import oplog_options_from_description
    from lifeboat.mongodb.oplog_source import OplogSource
    from lifeboat.streams.spool import Spool

    (folder / "spool").mkdir()
    spool = Spool(path=str(folder / "spool"), budget=1 << 33)
    source = OplogSource(
        options=oplog_options_from_description({"connection": {"uri": uri}}),
        series=Series(service="bench", source="main", kind="oplog"),
        host=Host(),
        state=StateDirectory(path=str(folder / "state")),
        spool=spool,
    )

    def capture() -> None:
        source.inspect()
        source.capture(spool=spool, stored=None, progress=Progress(clock=SystemClock()))

    pid, count = int(asked["pid"]), int(asked["seconds"]) * WRITES_A_SECOND
    used = idle = took = 0.0
    client: pymongo.MongoClient[dict[str, t.Any]] = pymongo.MongoClient(uri)
    with client:
        capture()
        for _turn in range(int(asked["captures"])):
            for start in range(0, count, 1000):
                client.bench.orders.insert_many(
                    [{"_id": f"{time.time_ns()} {one}", "text": "x" * 150} for one in range(start, start + 1000)]
                )
            client.admin.command("fsync")
            time.sleep(_SETTLE_SECONDS)
            started, before = time.monotonic(), processes.processor_seconds([pid])
            capture()
            seconds = time.monotonic() - started
            time.sleep(0.1)
            used += processes.processor_seconds([pid]) - before
            before = processes.processor_seconds([pid])
            time.sleep(seconds + 0.1)
            idle += processes.processor_seconds([pid]) - before
            took += seconds
            spool.remove([one.name for one in spool.entries()][:-1])
        client.drop_database("bench")
    share = max(0.0, used - idle) / (asked["captures"] * asked["seconds"])
    return {
        "millionths": round(share * 1e6),
        "server_seconds_each": round((used - idle) / asked["captures"], 4),
        "seconds_each": round(took / asked["captures"], 3),
        "entries_each": count,
    }


if __name__ == "__main__":
    sys.exit(main())
