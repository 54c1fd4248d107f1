# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifiers of PostgreSQL's physical backups, from the options of a verification."""

from __future__ import annotations

import typing as t

from ...postgresql.base_verifier import PgBaseVerifier
from ...postgresql.base_verify_options import base_verify_options
from ...recovery.verifier import VerifierContext, VerifierFactory


def base(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Full base backups. Raises RequestInvalid for options that can't be."""
    parsed = base_verify_options(options)

    def make(context: VerifierContext) -> PgBaseVerifier:
        return PgBaseVerifier(context=context, options=parsed)

    return make


def incremental(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Increments with their chains. Raises RequestInvalid for options that can't be."""
    return base(options)
