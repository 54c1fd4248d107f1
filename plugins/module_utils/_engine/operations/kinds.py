# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which producer makes which kind of backup: one static table.

To add a database, copy the shape of ``redis/`` and of ``producers/redis.py``, then add its lines here.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..mongodb.asking import asking as asking_mongodb
from ..postgresql.questions import asking as asking_postgresql
from ..redis.asking import asking as asking_redis
from .asking import Asking
from .backup_values import ProducerFactory
from .producers import files, mongodb, postgresql, redis


@dataclass(frozen=True)
class Kind:
    """How to make backups of one kind: from a job's options (its ``connection`` among them) to a producer factory.

    *asking* is how a source is asked questions, None where there is nothing to ask. *parent_kinds* are those that an
    increment of this kind can build on. *tells_changes* is set where the producer is a
    :class:`pipeline.producer.ChangeAwareProducer`.
    """

    factory: t.Callable[[t.Mapping[str, t.Any]], ProducerFactory]
    asking: Asking | None = None
    parent_kinds: tuple[str, ...] = ()
    tells_changes: bool = False


KINDS: t.Mapping[tuple[str, str], Kind] = {
    ("mongodb", "full"): Kind(mongodb.full, asking_mongodb),
    ("postgresql", "logical"): Kind(postgresql.logical, asking_postgresql),
    ("postgresql", "base"): Kind(postgresql.base, asking_postgresql),
    ("postgresql", "incremental"): Kind(
        postgresql.incremental, asking_postgresql, parent_kinds=postgresql.INCREMENTAL_PARENT_KINDS
    ),
    ("redis", "rdb"): Kind(redis.rdb, asking_redis),
    ("redis", "aof"): Kind(redis.aof, asking_redis),
    ("files", "config"): Kind(files.config, tells_changes=True),
}
