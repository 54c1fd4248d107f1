# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which producer makes which kind of backup: one static table.

To add a database, copy the shape of ``redis/`` and of ``producers/redis.py``, then add its lines here.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ..core.runner import Runner
from .asking import Ask, Asking
from .backup_values import ProducerFactory
from .parents import INCREMENTAL_PARENT_KINDS, STATIC_PARENT_KINDS

Options = t.Mapping[str, t.Any]
Questioning = contextlib.AbstractContextManager[Ask]


@dataclass(frozen=True)
class Kind:
    """How to make backups of one kind: from a job's options (its ``connection`` among them) to a producer factory.

    *asking* is how a source is asked questions, None where there is nothing to ask. *parent_kinds* are those that an
    increment of this kind can build on. *tells_changes* is set where the producer is a
    :class:`pipeline.producer.ChangeAwareProducer`.
    """

    factory: t.Callable[[Options], ProducerFactory]
    asking: Asking | None = None
    parent_kinds: tuple[str, ...] = ()
    tells_changes: bool = False


# Each is imported when it is asked for: whoever works on one database loads no other.


def _mongodb_full(options: Options) -> ProducerFactory:
    from .producers.mongodb import full

    return full(options)


def _postgresql_logical(options: Options) -> ProducerFactory:
    from .producers.postgresql import logical

    return logical(options)


def _postgresql_base(options: Options) -> ProducerFactory:
    from .producers.postgresql import base

    return base(options)


def _postgresql_incremental(options: Options) -> ProducerFactory:
    from .producers.postgresql import incremental

    return incremental(options)


def _redis_rdb(options: Options) -> ProducerFactory:
    from .producers.redis import rdb

    return rdb(options)


def _redis_aof(options: Options) -> ProducerFactory:
    from .producers.redis import aof

    return aof(options)


def _files_config(options: Options) -> ProducerFactory:
    from .producers.files import config

    return config(options)


def _files_static(options: Options) -> ProducerFactory:
    from .producers.files import static

    return static(options)


def _files_app(options: Options) -> ProducerFactory:
    from .producers.files import app

    return app(options)


def _files_system(options: Options) -> ProducerFactory:
    from .producers.sets import system

    return system(options)


def _ask_mongodb(connection: Options, runner: Runner) -> Questioning:
    from ..mongodb.asking import asking

    return asking(connection, runner)


def _ask_postgresql(connection: Options, runner: Runner) -> Questioning:
    from ..postgresql.questions import asking

    return asking(connection, runner)


def _ask_redis(connection: Options, runner: Runner) -> Questioning:
    from ..redis.asking import asking

    return asking(connection, runner)


KINDS: t.Mapping[tuple[str, str], Kind] = {
    ("mongodb", "full"): Kind(_mongodb_full, _ask_mongodb),
    ("postgresql", "logical"): Kind(_postgresql_logical, _ask_postgresql),
    ("postgresql", "base"): Kind(_postgresql_base, _ask_postgresql),
    ("postgresql", "incremental"): Kind(
        _postgresql_incremental, _ask_postgresql, parent_kinds=INCREMENTAL_PARENT_KINDS
    ),
    ("redis", "rdb"): Kind(_redis_rdb, _ask_redis),
    ("redis", "aof"): Kind(_redis_aof, _ask_redis),
    ("files", "config"): Kind(_files_config, tells_changes=True),
    ("files", "static"): Kind(_files_static, parent_kinds=STATIC_PARENT_KINDS, tells_changes=True),
    ("files", "app"): Kind(_files_app, tells_changes=True),
    ("files", "system"): Kind(_files_system),
}
