# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restorers of logical dumps of PostgreSQL, from options."""

from __future__ import annotations

import typing as t

from ...postgresql.connection import PostgresConnection
from ...postgresql.logical_adding import PgLogicalAdder
from ...postgresql.logical_cluster import PgLogicalClusterRestorer
from ...postgresql.logical_restore_options import ClusterRestoreOptions, restore_options_from
from ...postgresql.logical_restorer import PgLogicalRestorer
from ...recovery.restorer import Restorer, RestorerContext, RestorerFactory


def logical(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """One database beside production, in place or into an existing one, or a whole new cluster.

    Raises RequestInvalid for options that can't be.
    """
    rest = dict(options)
    connection = PostgresConnection.from_description(rest.pop("connection", None) or {})
    parsed = restore_options_from(rest)

    def make(context: RestorerContext) -> Restorer:
        if isinstance(parsed, ClusterRestoreOptions):
            return PgLogicalClusterRestorer(connection=connection, options=parsed, context=context)
        kind = PgLogicalAdder if parsed.existing else PgLogicalRestorer
        return kind(connection=connection, options=parsed, context=context)

    return make
