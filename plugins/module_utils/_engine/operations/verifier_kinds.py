# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which verifier proves which kind of backup: one static table, beside :mod:`kinds`."""

from __future__ import annotations

import typing as t

from ..core.errors import KindNotRunnable
from ..recovery.verifier import VerifierFactory
from .verifiers import files, mongodb, postgresql_base, postgresql_logical, redis

VERIFIERS: t.Mapping[tuple[str, str], t.Callable[[t.Mapping[str, t.Any]], VerifierFactory]] = {
    ("mongodb", "full"): mongodb.full,
    ("postgresql", "logical"): postgresql_logical.logical,
    ("postgresql", "base"): postgresql_base.base,
    ("postgresql", "incremental"): postgresql_base.incremental,
    ("redis", "rdb"): redis.rdb,
    ("redis", "aof"): redis.aof,
    ("files", "config"): files.config,
}


def verifier_factory(engine: str, kind: str) -> t.Callable[[t.Mapping[str, t.Any]], VerifierFactory]:
    """From options to a verifier factory. Raises KindNotRunnable for kinds that this version can't verify."""
    if (engine, kind) not in VERIFIERS:
        raise KindNotRunnable(
            f"Backups of the kind {engine} {kind} can be verified up to level 1 by this version.",
            hint="Ask for level 1.",
        )
    return VERIFIERS[engine, kind]
