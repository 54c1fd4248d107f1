# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical dumps: ours, with and without counting rows, against the bare pipe."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t
from pathlib import Path

from .command import Command
from .contest import Contender, Contest, Figure, bare_contenders
from .ours import ours
from .place import Place
from .postgresql import Cluster


@contextlib.contextmanager
def logical_contest(cluster: Cluster, place: Place) -> t.Iterator[Contest]:
    """The same database, the same format, zstd level 1 and two processors for all."""
    del place
    source = (cluster.server.program("pg_dump"), "-F", "c", "-Z", "0", "--no-password", "-d", cluster.database)

    def dump(**options: t.Any) -> t.Callable[[Path], Command]:
        def prepare(target: Path) -> Command:
            asked = {"connection": cluster.connection, "databases": [cluster.database], **options}
            return ours("postgresql", "logical", asked, target=target)

        return prepare

    size = _dump_bytes(source, environment=cluster.environment)
    yield Contest(
        name="logical",
        title="Logical dump of a PostgreSQL database",
        data=f"{size / 1e9:.2f} GB as pg_dump writes it",
        data_bytes=size,
        contenders=(
            Contender("ours", "Lifeboat (rows counted, roles included)", dump()),
            Contender("uncounted", "Lifeboat, row_counts: none", dump(row_counts="none")),
            *bare_contenders(source, title="pg_dump -Fc -Z0", name="dump.zst", environment=cluster.environment),
        ),
        figures=(
            Figure("at most 1.05 x the bare pipe", "ours", "bare", at_most=1.05),
            Figure("(the bare pipe with a faster hash)", "ours", "bare-openssl"),
            Figure("(with row_counts: none)", "uncounted", "bare"),
        ),
        limits=(),
        server_pids=cluster.pids,
        settle=cluster.settle,
    )


def _dump_bytes(source: t.Sequence[str | Path], *, environment: t.Mapping[str, str]) -> int:
    size = 0
    with subprocess.Popen(list(map(str, source)), stdout=subprocess.PIPE, env={**os.environ, **environment}) as process:
        if process.stdout is None:
            raise AssertionError("a pipe was asked for")
        while piece := process.stdout.read(1 << 20):
            size += len(piece)
    if process.returncode:
        raise RuntimeError(f"pg_dump ended with {process.returncode}")
    return size
