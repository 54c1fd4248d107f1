# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base backups: ours against pgBackRest with the same codec and level, and against the bare pipe."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from .command import Command
from .contest import Contender, Contest, Figure, bare_contenders
from .ours import ours
from .place import Place
from .postgresql import Cluster, PgBackRest

_BARE = ("-X", "fetch", "-F", "t", "-D", "-", "-c", "fast", "--no-password")


@contextlib.contextmanager
def base_contest(cluster: Cluster, place: Place) -> t.Iterator[Contest]:
    """The same start (fast checkpoint), the same end (on the disk), zstd level 1 and two processors for all."""
    del place

    def our_backup(target: Path) -> Command:
        return ours("postgresql", "base", {"connection": cluster.connection}, target=target)

    source = (cluster.server.program("pg_basebackup"), *_BARE)
    contenders = [
        Contender("ours", "Lifeboat", our_backup),
        *bare_contenders(source, title="pg_basebackup", name="base.tar.zst", environment=cluster.environment),
    ]
    missing = []
    if cluster.peer is None:
        missing.append("pgbackrest isn't installed (tools/setup.sh bench), so its figure is not measured.")
    else:
        contenders += _pgbackrest(cluster.peer)
    size = cluster.data_bytes()
    yield Contest(
        name="base",
        title="Base backup of a PostgreSQL cluster",
        data=f"{size / 1e9:.2f} GB without WAL",
        data_bytes=size,
        contenders=tuple(contenders),
        figures=(
            Figure("at most 1.05 x the bare pipe", "ours", "bare", at_most=1.05),
            Figure("(the bare pipe with a faster hash)", "ours", "bare-openssl"),
            Figure("at most 1.1 x pgBackRest", "ours", "pgbackrest", at_most=1.1),
            Figure("(against pgBackRest that doesn't wait for its WAL)", "ours", "pgbackrest-no-wal"),
        ),
        limits=(),
        server_pids=cluster.pids,
        settle=cluster.settle,
        missing=tuple(missing),
    )


def _pgbackrest(peer: PgBackRest) -> list[Contender]:
    """As it comes, it waits until the WAL that its backup needs is archived; without, its backup alone is no backup."""

    def backup(*arguments: str) -> t.Callable[[Path], Command]:
        def prepare(target: Path) -> Command:
            del target
            peer.begin_anew()
            return Command(argv=tuple(peer.command("--type=full", *arguments, "backup")), target=peer.repository)

        return prepare

    return [
        Contender("pgbackrest", "pgBackRest", backup()),
        Contender("pgbackrest-no-wal", "pgBackRest --no-archive-check", backup("--no-archive-check")),
    ]
