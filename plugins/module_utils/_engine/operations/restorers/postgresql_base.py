# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restorers of PostgreSQL's physical backups, from the options of a restore."""

from __future__ import annotations

import typing as t

from ...postgresql.base_restore_options import base_restore_options
from ...postgresql.base_restorer import PgBaseRestorer
from ...recovery.restorer import RestorerContext, RestorerFactory


def base(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """Full base backups. Raises RequestInvalid for options that can't be."""
    return _physical(options, kind="base")


def incremental(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """Increments with their chains. Raises RequestInvalid for options that can't be."""
    return _physical(options, kind="incremental")


def _physical(options: t.Mapping[str, t.Any], *, kind: str) -> RestorerFactory:
    parsed = base_restore_options(options)

    def make(context: RestorerContext) -> PgBaseRestorer:
        return PgBaseRestorer(kind=kind, context=context, options=parsed)

    return make
