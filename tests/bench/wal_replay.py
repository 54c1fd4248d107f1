# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaying WAL: out of a repository with read-ahead, against ``cp`` from a local folder."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from sandbox.ports import free_port
from sandbox.postgresql_host import as_user, operating_system_user

from .command import Command
from .contest import Contender, Contest, Figure
from .measuring import RunFailed
from .place import Place
from .postgresql import Cluster
from .wal_segments import keeping_wal, own_tree, segment_count, write_segments

_ROOT = Path(__file__).resolve().parents[2]
# At least 0.9 x the speed is at most so many times the time.
_ALMOST = 1 / 0.9
_LONGEST_SECONDS = 600


@contextlib.contextmanager
def wal_replay_contest(cluster: Cluster, place: Place) -> t.Iterator[Contest]:
    """The same base and the same segments; from the start of the server until it is open for writing."""
    work = place.folder / "wal-replay"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o711)
    try:
        count = segment_count(place)
        with keeping_wal(cluster, count):
            place.say("postgresql: a base backup, and WAL behind it")
            _base(cluster, work / "base")
            names = write_segments(cluster, count)
            first = _first_needed(work / "base")
            wal = cluster.server.data_directory / "pg_wal"
            (work / "wal").mkdir(mode=0o755)
            for path in sorted(wal.iterdir()):
                if len(path.name) == 24 and first <= path.name <= names[-1]:
                    shutil.copy2(path, work / "wal" / path.name)
        _store(work)
        for folder in (work / "wal", work / "base"):
            own_tree(folder)
        size = sum(path.stat().st_size for path in (work / "wal").iterdir())

        def run(mode: str) -> t.Callable[[Path], Command]:
            return lambda target: _command(cluster, work, target, mode=mode)

        yield Contest(
            name="wal-replay",
            title="Replay of WAL behind a base backup",
            data=f"{size // (16 * 1024 * 1024)} segments",
            data_bytes=size,
            contenders=(
                Contender("ours", "from the repository, with read-ahead", run("ours")),
                Contender("folder", "cp from a local folder", run("folder")),
            ),
            figures=(Figure("at least 0.9 x the speed of a local folder", "ours", "folder", at_most=_ALMOST),),
            limits=(),
            server_pids=cluster.pids,
            settle=cluster.settle,
        )
    finally:
        shutil.rmtree(work)


def _base(cluster: Cluster, folder: Path) -> None:
    done = subprocess.run(
        [cluster.server.program("pg_basebackup"), "-D", folder, "-X", "none", "-c", "fast", "--no-sync"],
        env={"PATH": "/usr/bin:/bin", **cluster.environment},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode:
        raise RunFailed(done.stderr)


def _first_needed(base: Path) -> str:
    label = (base / "backup_label").read_text(encoding="utf-8")
    return label.partition("(file ")[2][:24]


def _request(work: Path) -> t.Any:
    """Shipping into the repository of the contest, as the operation is asked for it."""
    from lifeboat.catalog.layout import Series
    from lifeboat.operations.backup_values import RepositoryRequest
    from lifeboat.operations.ship_values import ShipRequest
    from lifeboat.operations.stream_sources.registry import STREAM_KINDS

    return ShipRequest(
        series=Series(service="bench", source="main", kind="wal"),
        engine="postgresql",
        kind=STREAM_KINDS["postgresql", "wal"],
        repositories=(RepositoryRequest(name="local", description={"type": "file", "path": str(work / "repository")}),),
        spool_directory=str(work / "spool"),
        spool_budget=1 << 40,
        # Nobody listens there: what waits is shipped all the same.
        connection={"host": "127.0.0.1", "port": 1},
        options={},
        state_directory=str(work / "state"),
    )


def _store(work: Path) -> None:
    """Ship the segments."""
    from lifeboat.core.host import Host
    from lifeboat.operations.ship import run_ship

    shutil.copytree(work / "wal", work / "spool")
    (work / "repository").mkdir()
    run_ship(_request(work), host=Host())
    left = [path.name for path in (work / "spool").iterdir() if not path.name.startswith(".")]
    if left:
        raise RunFailed(f"{len(left)} segments were not shipped, {left[0]} is the first")


def _command(cluster: Cluster, work: Path, target: Path, *, mode: str) -> Command:
    data = target / "data"
    subprocess.run(["cp", "-a", work / "base", data], check=True, timeout=1800)
    target.parent.chmod(0o711)
    target.chmod(0o711)
    port = free_port()
    settings = f"port = {port}\narchive_mode = off\nhot_standby = off\nunix_socket_directories = '/tmp'\n"
    (data / "postgresql.auto.conf").write_text(settings, encoding="utf-8")
    (data / "recovery.signal").touch()
    own_tree(data)
    request = {
        "mode": mode,
        "work": str(work),
        "data": str(data),
        "postgres": str(cluster.server.program("postgres")),
    }
    return Command(
        argv=(sys.executable, "-m", "tests.bench.wal_replay", json.dumps(request)),
        target=target,
        environment={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tools' / 'typing'}"},
    )


def main() -> int:
    """Start the server, and be done when it is open for writing."""
    request = json.loads(sys.argv[1])
    work, data = Path(request["work"]), Path(request["data"])
    with contextlib.ExitStack() as stack:
        if request["mode"] == "folder":
            command = f"cp {work}/wal/%f %p"
        else:
            command = stack.enter_context(_reading_ahead(work, data.parent / "cache"))
        with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as configuration:
            configuration.write(f"restore_command = '{command}'\n")
        server = subprocess.Popen([*as_user(operating_system_user()), request["postgres"], "-D", data], cwd="/")
        try:
            return 0 if _is_open(server, data) else 1
        finally:
            server.send_signal(3)
            server.wait(timeout=60)


@contextlib.contextmanager
def _reading_ahead(work: Path, cache: Path) -> t.Iterator[str]:
    from lifeboat.core.host import Host
    from lifeboat.operations.ship_run import open_storages
    from lifeboat.postgresql.wal_fetcher import WalFetcher
    from lifeboat.postgresql.wal_restore_script import restore_command, write_restore_script
    from lifeboat.recovery.recovery_planner import RecoveryPlan
    from lifeboat.recovery.recovery_target import RecoveryTarget
    from lifeboat.recovery.segment_reader import StoredSegmentReader
    from lifeboat.streams.reader import read_streams

    host = Host()
    request = _request(work)
    storages = open_storages(request, host=host)
    (stream,) = read_streams(storages, request.series)
    planned = tuple(sorted(stream.segments, key=lambda one: one.segment.name))
    plan = RecoveryPlan(
        target=RecoveryTarget(kind="latest"),
        base=t.cast("t.Any", None),  # it is unpacked already
        lineage=stream.folder.lineage,
        segments=planned,
        why=(),
    )
    reader = StoredSegmentReader(plan=plan, series=request.series, storages=storages, host=host)
    cache.mkdir(mode=0o700)
    own_tree(cache)
    script = cache.parent / "fetch-wal"
    write_restore_script(str(script))
    with WalFetcher(
        cache=str(cache),
        planned=planned,
        fetch=reader.fetch,
        clock=host.clock,
        journal=host.journal,
        segment_size=16 * 1024 * 1024,
    ):
        yield restore_command(script=str(script), cache=str(cache))


def _is_open(server: subprocess.Popen[bytes], data: Path) -> bool:
    from lifeboat.postgresql.server_state import READ_WRITE, postmaster_state

    deadline = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        # hot_standby is off, so a server that is ready is open for writing.
        if postmaster_state(str(data)) == READ_WRITE:
            return True
        time.sleep(0.02)
    return False


if __name__ == "__main__":
    sys.exit(main())
