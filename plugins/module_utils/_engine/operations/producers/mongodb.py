# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Producers of MongoDB backups, from a job's options."""

from __future__ import annotations

import typing as t

from ...mongodb.options import options_from_description
from ...mongodb.producer import MongoDumpProducer
from ..backup_values import ProducerContext, ProducerFactory


def full(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Full dumps. Raises RequestInvalid for options that can't be."""
    parsed = options_from_description(options)

    def make(context: ProducerContext) -> MongoDumpProducer:
        return MongoDumpProducer(options=parsed, host=context.host, state=context.state, backup_id=context.backup_id)

    return make
