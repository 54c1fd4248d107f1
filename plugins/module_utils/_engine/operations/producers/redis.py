# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Producers of Redis and Valkey backups, from a job's options."""

from __future__ import annotations

import typing as t

from ...redis.options import options_from_description
from ...redis.producer import RedisSnapshotProducer
from ..backup_values import ProducerContext, ProducerFactory


def rdb(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Snapshots. Raises RequestInvalid for options that can't be."""
    return _snapshot(options, kind="rdb")


def aof(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Sets of append-only files. Raises RequestInvalid for options that can't be."""
    return _snapshot(options, kind="aof")


def _snapshot(options: t.Mapping[str, t.Any], *, kind: str) -> ProducerFactory:
    parsed = options_from_description(options, kind=kind)

    def make(context: ProducerContext) -> RedisSnapshotProducer:
        host = context.host
        return RedisSnapshotProducer(options=parsed, runner=host.runner, clock=host.clock, journal=host.journal)

    return make
