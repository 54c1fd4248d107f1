# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Producers of PostgreSQL backups, from a job's options."""

from __future__ import annotations

import typing as t

from ...catalog.manifest import Manifest
from ...core.state import StateDirectory
from ...postgresql.base import PgBaseBackupProducer
from ...postgresql.connection import PostgresConnection
from ...postgresql.logical import PgLogicalDumpProducer
from ...postgresql.manifests import ManifestShelf
from ...postgresql.options import (
    IncrementalParent,
    base_backup_options_from_description,
    logical_options_from_description,
)
from ..backup_values import ProducerContext, ProducerFactory


def logical(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Logical dumps. Raises RequestInvalid for options that can't be."""
    connection, rest = _split(options)
    parsed = logical_options_from_description(rest)

    def make(context: ProducerContext) -> PgLogicalDumpProducer:
        host = context.host
        return PgLogicalDumpProducer(
            connection=connection, options=parsed, runner=host.runner, clock=host.clock, journal=host.journal
        )

    return make


def base(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Full base backups. Raises RequestInvalid for options that can't be."""
    return _physical(options, kind="base")


def incremental(options: t.Mapping[str, t.Any]) -> ProducerFactory:
    """Incremental base backups. Raises RequestInvalid for options that can't be."""
    return _physical(options, kind="incremental")


def _physical(options: t.Mapping[str, t.Any], *, kind: str) -> ProducerFactory:
    connection, rest = _split(options)
    parsed = base_backup_options_from_description(rest)

    def make(context: ProducerContext) -> PgBaseBackupProducer:
        host = context.host
        return PgBaseBackupProducer(
            connection=connection,
            options=parsed,
            backup_id=context.backup_id,
            state_directory=context.state.path,
            runner=host.runner,
            clock=host.clock,
            journal=host.journal,
            kind=kind,
            parent=_parent(context.parent, state=context.state),
            full_job=f"{context.series.service}/{context.series.source}/base",
        )

    return make


def _split(options: t.Mapping[str, t.Any]) -> tuple[PostgresConnection, dict[str, t.Any]]:
    rest = dict(options)
    return PostgresConnection.from_description(rest.pop("connection", None) or {}), rest


def _parent(manifest: Manifest | None, *, state: StateDirectory) -> IncrementalParent | None:
    if manifest is None:
        return None
    content = manifest.content
    shelf = ManifestShelf(state_directory=state.path, system_identifier=str(content.get("system_identifier")))
    ancestors = (content.get("parent") or {}).get("chain", ())
    return IncrementalParent(
        backup_id=manifest.backup_id,
        manifest_path=shelf.path(manifest.backup_id),
        chain=(*map(str, ancestors), manifest.backup_id),
    )
