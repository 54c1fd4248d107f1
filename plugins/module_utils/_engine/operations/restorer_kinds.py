# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restorer brings which kind of backup back: one static table, beside :mod:`kinds`."""

from __future__ import annotations

import typing as t

from ..core.errors import KindNotRunnable
from ..recovery.restorer import RestorerFactory

Options = t.Mapping[str, t.Any]


def _mongodb_full(options: Options) -> RestorerFactory:
    from .restorers.mongodb import full

    return full(options)


def _postgresql_logical(options: Options) -> RestorerFactory:
    from .restorers.postgresql_logical import logical

    return logical(options)


def _postgresql_base(options: Options) -> RestorerFactory:
    from .restorers.postgresql_base import base

    return base(options)


def _postgresql_incremental(options: Options) -> RestorerFactory:
    from .restorers.postgresql_base import incremental

    return incremental(options)


def _redis_rdb(options: Options) -> RestorerFactory:
    from .restorers.redis import rdb

    return rdb(options)


def _redis_aof(options: Options) -> RestorerFactory:
    from .restorers.redis import aof

    return aof(options)


def _redis_aof_log(options: Options) -> RestorerFactory:
    from .restorers.redis_aof_log import aof_log

    return aof_log(options)


def _files_config(options: Options) -> RestorerFactory:
    from .restorers.files import config

    return config(options)


def _files_static(options: Options) -> RestorerFactory:
    from .restorers.files import static

    return static(options)


def _files_app(options: Options) -> RestorerFactory:
    from .restorers.files import app

    return app(options)


#: Each is imported when it is asked for: whoever works on one database loads no other.
RESTORERS: t.Mapping[tuple[str, str], t.Callable[[Options], RestorerFactory]] = {
    ("mongodb", "full"): _mongodb_full,
    ("postgresql", "logical"): _postgresql_logical,
    ("postgresql", "base"): _postgresql_base,
    ("postgresql", "incremental"): _postgresql_incremental,
    ("redis", "rdb"): _redis_rdb,
    ("redis", "aof"): _redis_aof,
    ("redis", "aof-log"): _redis_aof_log,
    ("files", "config"): _files_config,
    ("files", "static"): _files_static,
    ("files", "app"): _files_app,
}


def restorer_factory(engine: str, kind: str) -> t.Callable[[Options], RestorerFactory]:
    """From options to a restorer factory. Raises KindNotRunnable for kinds that this version can't restore."""
    if (engine, kind) not in RESTORERS:
        raise KindNotRunnable(
            f"Backups of the kind {engine} {kind} can't be restored by this version.",
            hint="Restore by hand: lifeboat show ID --restore prints the commands.",
        )
    return RESTORERS[engine, kind]
