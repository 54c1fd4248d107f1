# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.bench``: start the servers, load the data, let everybody run in turn, print what came out."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from . import report
from .base import base_contest
from .contest import Contest, Outcome, hold
from .deletes_s3 import deletes_s3_contest, filled_server
from .logical import logical_contest
from .machine import busy_share, file_system, machine_facts, versions
from .measuring import RunFailed
from .memory import large_memory_contest, small_memory_contest
from .mongodb import mongodb_contest, replica_set
from .oplog_capture import guarded_set, oplog_capture_contest
from .place import Place
from .postgresql import cluster
from .redis import redis_contest, redis_server
from .replay_mongodb import replay_mongodb_contest
from .restore_mongodb import restore_mongodb_contest
from .restore_postgresql import restore_postgresql_contest
from .wal_archive import wal_archive_contest, wal_ship_contest
from .wal_replay import wal_replay_contest

_Server = t.Callable[[Place], contextlib.AbstractContextManager[t.Any]]
_Opening = t.Callable[[t.Any, Place], contextlib.AbstractContextManager[Contest]]

# Contests of one server stand together, so that no other server runs meanwhile.
SERVERS: tuple[tuple[_Server, dict[str, _Opening]], ...] = (
    (
        cluster,
        {
            "base": base_contest,
            "logical": logical_contest,
            "restore-postgresql": restore_postgresql_contest,
            "wal-archive": wal_archive_contest,
            "wal-ship": wal_ship_contest,
            "wal-replay": wal_replay_contest,
        },
    ),
    (
        replica_set,
        {
            "mongodb": mongodb_contest,
            "restore-mongodb": restore_mongodb_contest,
            "replay-mongodb": replay_mongodb_contest,
            "memory": small_memory_contest,
            "memory-large": large_memory_contest,
        },
    ),
    (guarded_set, {"oplog-capture": oplog_capture_contest}),
    (redis_server, {"redis": redis_contest}),
    (filled_server, {"deletes-s3": deletes_s3_contest}),
)
# What nobody contests: programs of this folder that say by their exit status whether a promise of size is kept.
SIZES: dict[str, tuple[str, ...]] = {
    "retention-plan": ("retention_plan",),
    "stream-summary": ("stream_summary", "--prune"),
    "many-hosts": ("many_hosts",),
}
_NAMES = (*(name for _server, contests in SERVERS for name in contests), *SIZES)
_ROOT = Path(__file__).resolve().parents[2]
# Sources, what is stored of them, the script's folder of dumps, and four times the data for the memory.
_ROOM = 12
_BUSY = 0.15


def main() -> int:
    """The exit status is 0 when every promise that could be measured is kept, else 1."""
    options = _parser().parse_args()
    wanted = options.only or list(_NAMES)
    unknown = sorted(set(wanted) - set(_NAMES))
    if unknown:
        print(f"there is no {', '.join(unknown)}; there are: {', '.join(_NAMES)}", file=sys.stderr)
        return 2
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {text}", file=sys.stderr, flush=True)

    with _folder(options.directory) as folder:
        problem = _unfit(folder, megabytes=options.megabytes)
        if problem:
            print(problem, file=sys.stderr)
            return 2
        place = Place(folder=folder, megabytes=options.megabytes, keep=options.directory is not None, say=say)
        facts = machine_facts(folder)
        failures: list[str] = []
        outcomes = list(_outcomes(place, wanted=wanted, runs=options.runs, failures=failures))
        failures += _sizes(place, wanted=wanted)
        facts["command"] = "python -m tests.bench " + " ".join(sys.argv[1:])
        facts["took"] = f"{time.monotonic() - started:.0f} s"
        _leave(outcomes, options, facts=facts)
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts()]
    for failure in failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    return 1 if failures or any(verdict.met is False for verdict in verdicts) else 0


def _outcomes(place: Place, *, wanted: t.Sequence[str], runs: int, failures: list[str]) -> t.Iterator[Outcome]:
    for server, contests in SERVERS:
        chosen = {name: opening for name, opening in contests.items() if name in wanted}
        if not chosen:
            continue
        with server(place) as running:
            for opening in chosen.values():
                with opening(running, place) as contest:
                    for note in contest.missing:
                        place.say(f"{contest.name}: !!! {note}")
                    try:
                        outcome = hold(contest, runs=runs, folder=place.folder, say=place.say)
                    except RunFailed as error:
                        # What was measured before and what comes after is worth having all the same.
                        place.say(f"{contest.name}: FAILED: {error}")
                        failures.append(f"{contest.name}: {error}")
                        continue
                print(report.text_of(outcome), flush=True)
                yield outcome


def _sizes(place: Place, *, wanted: t.Sequence[str]) -> list[str]:
    """Which of them were not kept."""
    failed = []
    environment = {**os.environ, "PYTHONPATH": str(_ROOT / ".collections")}
    for name, (program, *options) in SIZES.items():
        if name not in wanted:
            continue
        place.say(name)
        print(f"\n{name}", flush=True)
        argv = [sys.executable, "-m", f"tests.bench.{program}", *options]
        if subprocess.run(argv, cwd=_ROOT, env=environment, check=False).returncode != 0:
            failed.append(f"{name}: its promise is not kept; see above")
    return failed


def _leave(outcomes: t.Sequence[Outcome], options: argparse.Namespace, *, facts: t.Mapping[str, str]) -> None:
    programs = versions()
    print()
    for name, value in {**facts, **programs}.items():
        print(f"{name:12} {value or '(not there)'}")
    if options.json:
        document = report.document_of(outcomes, facts=facts, versions=programs)
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.write:
        report.write_into(options.write, report.markdown_of(outcomes, facts=facts, versions=programs))


@contextlib.contextmanager
def _folder(directory: Path | None) -> t.Iterator[Path]:
    if directory is not None:
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        yield directory.resolve()
        return
    # Not /tmp, which is memory on many machines.
    folder = Path(tempfile.mkdtemp(prefix="lifeboat-bench-", dir="/var/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _unfit(folder: Path, *, megabytes: float) -> str:
    """Why nothing could be measured here; empty when it can."""
    kind = file_system(folder)
    if kind in ("tmpfs", "ramfs"):
        return f"{folder} is memory ({kind}), where nothing is ever synced: name a folder on a disk with --directory"
    needed = _ROOM * megabytes * 1e6
    free = shutil.disk_usage(folder).free
    if free < needed:
        return f"{folder} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed; see --directory"
    busy = busy_share()
    if busy > _BUSY:
        print(f"!!! Others use {busy:.0%} of the processors: the figures will be theirs as well.", file=sys.stderr)
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        metavar="NAME,NAME",
        help=f"only these: {', '.join(_NAMES)}",
    )
    parser.add_argument("--megabytes", type=float, default=1000, help="size of the data sets (default 1000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each contender (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single run there")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures between the marks of this page")
    parser.add_argument(
        "--directory", type=Path, help="work there and keep the servers' data for the next time (default: /var/tmp)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
