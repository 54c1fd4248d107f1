# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Producers of backups of files, from a job's options."""

from __future__ import annotations

import typing as t

from ...files.app_options import AppOptions
from ...files.app_producer import AppProducer
from ...files.basis import choose_basis
from ...files.options import options_from_description
from ...files.producer import FilesProducer
from ...files.remembered import Shelf
from ...files.static_options import StaticOptions
from ...files.static_producer import StaticProducer
from ..backup_values import ProducerContext, ProducerFactory


def config(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Configuration. Raises RequestInvalid for options that can't be."""
    parsed = options_from_description(options)

    def make(context: ProducerContext) -> FilesProducer:
        host = context.host
        return FilesProducer(options=parsed, runner=host.runner, clock=host.clock, journal=host.journal)

    return make


def static(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Assets and logs, whole or what is new. Raises RequestInvalid for options that can't be."""
    parsed = StaticOptions.from_description(options)

    def make(context: ProducerContext) -> StaticProducer:
        host = context.host
        shelf = Shelf(state=context.state, series=context.series)
        basis = choose_basis(
            context.parent,
            shelf=shelf,
            options=parsed,
            is_whole_wanted=context.is_whole_wanted,
            now=host.clock.now(),
        )
        return StaticProducer(
            options=parsed,
            backup_id=context.backup_id,
            basis=basis,
            shelf=shelf,
            clock=host.clock,
            journal=host.journal,
        )

    return make


def app(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """An application. Raises RequestInvalid for options that can't be."""
    parsed = AppOptions.from_description(options)

    def make(context: ProducerContext) -> AppProducer:
        host = context.host
        return AppProducer(options=parsed, runner=host.runner, clock=host.clock, journal=host.journal)

    return make
