# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Producers of sets, from a job's options."""

from __future__ import annotations

import typing as t

from ..backup_values import ProducerContext, ProducerFactory
from ..set_options import set_options_from
from ..set_producer import SetProducer


def system(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Everything of a service. Raises RequestInvalid for options that can't be."""
    set_options_from(options)

    def make(context: ProducerContext) -> SetProducer:
        return SetProducer(context)

    return make
