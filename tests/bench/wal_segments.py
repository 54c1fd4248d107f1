# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real WAL to archive again and again: what the server wrote, in a folder that looks like its data directory."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

from sandbox.postgresql_host import operating_system_user

from .measuring import RunFailed
from .place import Place
from .postgresql import Cluster

_MOST = 64
_SIZE = 16 * 1024 * 1024
# Rows as applications have them: some of it compresses, some doesn't.
_ROWS = """
INSERT INTO bench_wal
SELECT n, md5(random()::text) || md5(random()::text), 'order ' || n || ' of customer ' || n % 997, now()
  FROM generate_series(1, 50000) n
"""


@dataclass(frozen=True)
class WalSegments:
    """*data* holds ``pg_wal`` with the files *names*, and ``global/pg_control``."""

    data: Path
    names: tuple[str, ...]
    identifier: str

    @property
    def bytes(self) -> int:
        return len(self.names) * _SIZE


def own_tree(folder: Path) -> None:
    """Give a folder and all in it to the server's user."""
    user = operating_system_user()
    if user is not None:
        group = pwd.getpwnam(user).pw_gid
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user, group)


def write_segments(cluster: Cluster, count: int) -> tuple[str, ...]:
    """Let the server write so many full segments; their names. ``wal_keep_size`` must cover them."""
    server = cluster.server

    def current() -> str:
        return str(server.query("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0])

    server.query("DROP TABLE IF EXISTS bench_wal")
    server.query("CREATE TABLE bench_wal (number int, code text, note text, at timestamptz)")
    server.query("SELECT pg_switch_wal()")
    server.query("INSERT INTO bench_wal VALUES (0, '', '', now())")
    first = current()
    found: list[str] = []
    while len(found) < count:
        server.query(_ROWS)
        last = current()
        wal = server.data_directory / "pg_wal"
        found = sorted(path.name for path in wal.iterdir() if len(path.name) == 24 and first <= path.name < last)
        if found and found[0] != first:
            raise RunFailed(f"the server has removed {first} already")
    return tuple(found[:count])


@contextlib.contextmanager
def keeping_wal(cluster: Cluster, count: int) -> t.Iterator[None]:
    """So many segments stay in ``pg_wal`` meanwhile."""
    server = cluster.server
    server.query(f"ALTER SYSTEM SET wal_keep_size = '{(count + 16) * 16}MB'")
    server.query("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        server.query("DROP TABLE IF EXISTS bench_wal")
        server.query("ALTER SYSTEM RESET wal_keep_size")
        server.query("SELECT pg_reload_conf()")


def segment_count(place: Place) -> int:
    """64 segments; fewer with little data."""
    return max(4, min(_MOST, int(place.megabytes * 1e6 / _SIZE) + 1))


@contextlib.contextmanager
def wal_segments(cluster: Cluster, place: Place) -> t.Iterator[WalSegments]:
    """Let the server write them, and copy them before it uses their files again."""
    server = cluster.server
    count = segment_count(place)
    place.say(f"postgresql: writing {count} segments of WAL")
    data = place.folder / "wal-segments"
    shutil.rmtree(data, ignore_errors=True)
    try:
        with keeping_wal(cluster, count):
            names = write_segments(cluster, count)
            for folder in (data, data / "pg_wal", data / "global"):
                folder.mkdir(mode=0o711)
            for name in names:
                shutil.copy2(server.data_directory / "pg_wal" / name, data / "pg_wal" / name)
        for name in ("PG_VERSION", "global/pg_control"):
            shutil.copy2(server.data_directory / name, data / name)
        identifier = str(server.query("SELECT system_identifier FROM pg_control_system()")[0][0])
        yield WalSegments(data=data, names=names, identifier=identifier)
    finally:
        shutil.rmtree(data, ignore_errors=True)
