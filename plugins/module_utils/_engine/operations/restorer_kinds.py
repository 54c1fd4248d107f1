# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restorer brings which kind of backup back: one static table, beside :mod:`kinds`."""

from __future__ import annotations

import typing as t

from ..core.errors import KindNotRunnable
from ..recovery.restorer import RestorerFactory
from .restorers import files, mongodb, postgresql_base, postgresql_logical, redis, redis_aof_log

RESTORERS: t.Mapping[tuple[str, str], t.Callable[[t.Mapping[str, t.Any]], RestorerFactory]] = {
    ("mongodb", "full"): mongodb.full,
    ("postgresql", "logical"): postgresql_logical.logical,
    ("postgresql", "base"): postgresql_base.base,
    ("postgresql", "incremental"): postgresql_base.incremental,
    ("redis", "rdb"): redis.rdb,
    ("redis", "aof"): redis.aof,
    ("redis", "aof-log"): redis_aof_log.aof_log,
    ("files", "config"): files.config,
}


def restorer_factory(engine: str, kind: str) -> t.Callable[[t.Mapping[str, t.Any]], RestorerFactory]:
    """From options to a restorer factory. Raises KindNotRunnable for kinds that this version can't restore."""
    if (engine, kind) not in RESTORERS:
        raise KindNotRunnable(
            f"Backups of the kind {engine} {kind} can't be restored by this version.",
            hint="Restore by hand: lifeboat show ID --restore prints the commands.",
        )
    return RESTORERS[engine, kind]
