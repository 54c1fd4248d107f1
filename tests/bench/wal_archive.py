# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archiving WAL: our ``archive_command`` against ``cp`` with the same syncs, shipping against pgBackRest's own way."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sys
import typing as t
from pathlib import Path

from sandbox.postgresql_host import as_user, operating_system_user

from .command import Command, script, words
from .contest import Contender, Contest, Figure
from .place import Place
from .postgresql import STANZA, Cluster, PgBackRest
from .wal_segments import WalSegments, own_tree, wal_segments

_ROOT = Path(__file__).resolve().parents[2]
# What PostgreSQL does: a shell for each segment, one after the other, in the data directory.
_LOOP = """
cd {data}
for name in {names}; do
    sh -c {command} archive "pg_wal/$name" "$name"
done
"""
# The service beside it; done is when nothing waits any more and the service has ended. Each look at the spool starts a
# process: a hundred a second took a fifth of a second of what is measured.
_SHIP = """
{ship} &
ship=$!
trap 'kill "$ship" 2>/dev/null || true' EXIT
({archive})
cd {spool}
while compgen -G '*' >/dev/null; do
    kill -0 "$ship"
    sleep 0.05
done
kill -TERM "$ship"
wait "$ship"
trap - EXIT
"""
_CP = 'cp "$1" {spool}/."$2" && sync {spool}/."$2" && mv {spool}/."$2" {spool}/"$2" && sync {spool}'
# At least 0.8 x the speed is at most so many times the time.
_MOST_OF_CP = 1 / 0.8
_SEGMENTS_A_SECOND = 18


@contextlib.contextmanager
def wal_archive_contest(cluster: Cluster, place: Place) -> t.Iterator[Contest]:
    """Each segment into a spool on the same file system, whole and durable."""
    with wal_segments(cluster, place) as segments:
        yield Contest(
            name="wal-archive",
            title="archive_command, one segment after the other",
            data=f"{len(segments.names)} segments; {_SEGMENTS_A_SECOND} a second are "
            f"{len(segments.names) / _SEGMENTS_A_SECOND:.2f} s",
            data_bytes=segments.bytes,
            contenders=(
                Contender("ours", "archive-wal", lambda target: _ours(segments, target)),
                Contender("cp", "cp, sync, mv, sync", lambda target: _cp(segments, target)),
            ),
            figures=(Figure("at least 0.8 x the speed of cp with the same syncs", "ours", "cp", at_most=_MOST_OF_CP),),
            limits=(),
            server_pids=cluster.pids,
            settle=cluster.settle,
        )


@contextlib.contextmanager
def wal_ship_contest(cluster: Cluster, place: Place) -> t.Iterator[Contest]:
    """From ``pg_wal`` into a repository, compressed with zstd level 1: archiving and shipping at the same time."""
    with wal_segments(cluster, place) as segments:
        contenders = [
            Contender("ours", "archive-wal and lifeboat ship --follow", lambda target: _shipped(segments, target))
        ]
        missing = []
        if cluster.peer is None:
            missing.append("pgbackrest isn't installed (tools/setup.sh bench), so its figure is not measured.")
        else:
            peer = cluster.peer
            contenders.append(
                Contender(
                    "pgbackrest",
                    "pgBackRest archive-push, asynchronous",
                    lambda target: _pushed(peer, segments, target),
                )
            )
        yield Contest(
            name="wal-ship",
            title="WAL from pg_wal into the repository",
            data=f"{len(segments.names)} segments",
            data_bytes=segments.bytes,
            contenders=tuple(contenders),
            figures=(Figure("no slower than pgBackRest's asynchronous push", "ours", "pgbackrest", at_most=1.0),),
            limits=(),
            server_pids=cluster.pids,
            settle=cluster.settle,
            missing=tuple(missing),
        )


def _spool(segments: WalSegments, spool: Path) -> Path:
    """An empty spool, and the script beside it."""
    from lifeboat.postgresql.wal_archive_script import SpoolSettings, write_archive_script, write_spool_settings

    spool.mkdir(exist_ok=True)
    write_archive_script(str(spool.parent / "archive-wal"))
    write_spool_settings(str(spool), SpoolSettings(segments.identifier, 1024 * 1024))
    return spool


def _loop(segments: WalSegments, command: str) -> str:
    return _LOOP.format(
        data=shlex.quote(str(segments.data)), names=" ".join(segments.names), command=shlex.quote(command)
    )


def _archive(segments: WalSegments, spool: Path) -> str:
    return _loop(segments, f'{shlex.quote(str(spool.parent / "archive-wal"))} {shlex.quote(str(spool))} "$1" "$2"')


def _ours(segments: WalSegments, target: Path) -> Command:
    return script(_archive(segments, _spool(segments, target)), target=target)


def _cp(segments: WalSegments, target: Path) -> Command:
    return script(_loop(segments, _CP.format(spool=shlex.quote(str(target)))), target=target)


def _shipped(segments: WalSegments, target: Path) -> Command:
    spool = _spool(segments, target.parent / "spool")
    description = {
        "lifeboat_repositories": {"local": {"type": "file", "path": str(target)}},
        "lifeboat_settings": {"state_directory": str(target.parent / "lifeboat-state")},
        "lifeboat_services": [
            {
                "name": "bench",
                "sources": [
                    {
                        "name": "main",
                        "engine": "postgresql",
                        # Nobody listens there: what waits is shipped all the same.
                        "connection": {"host": "127.0.0.1", "port": 1},
                        "backups": [
                            {
                                "kind": "wal",
                                "repositories": ["local"],
                                "keep": {"forever": True},
                                "options": {"spool_directory": str(spool)},
                            }
                        ],
                    }
                ],
            }
        ],
    }
    configuration = target.parent / "config.yml"
    configuration.write_text(json.dumps(description), encoding="utf-8")
    ship = [
        sys.executable,
        "-m",
        "lifeboat",
        "--config",
        configuration,
        "ship",
        "bench/main/wal",
        "--follow",
        "--quiet",
    ]
    text = _SHIP.format(ship=words(ship), archive=_archive(segments, spool), spool=shlex.quote(str(spool)))
    # The engine of this checkout, whatever is installed.
    return script(text, target=target, PYTHONPATH=f"{_ROOT}:{_ROOT / 'tools' / 'typing'}")


def _pushed(peer: PgBackRest, segments: WalSegments, target: Path) -> Command:
    del target
    peer.begin_anew()
    shutil.rmtree(peer.folder / "spool", ignore_errors=True)
    peer.make_folders()
    # The server's own archive_status says what waits: here, that of the copy.
    status = segments.data / "pg_wal" / "archive_status"
    shutil.rmtree(status, ignore_errors=True)
    status.mkdir()
    for name in segments.names:
        (status / f"{name}.ready").touch()
    own_tree(segments.data)
    program = (
        f"{peer.program} --config={peer.configuration} --stanza={STANZA} --pg1-path={segments.data} --archive-async"
    )
    push = f'{program} archive-push "$1" && mv pg_wal/archive_status/"$2".ready pg_wal/archive_status/"$2".done'
    text = _loop(segments, push)
    argv = (*map(str, as_user(operating_system_user())), "bash", "-euo", "pipefail", "-c", text)
    return Command(argv=argv, target=peer.repository)
