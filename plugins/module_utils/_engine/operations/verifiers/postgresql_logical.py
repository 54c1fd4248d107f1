# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifiers of logical dumps of PostgreSQL, from options."""

from __future__ import annotations

import typing as t

from ...postgresql.base_verify_options import base_verify_options
from ...postgresql.logical_verifier import PgLogicalVerifier
from ...recovery.verifier import VerifierContext, VerifierFactory


def logical(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Logical backups. Raises RequestInvalid for options that can't be.

    The options of an engine are given once for all its kinds; those that are only for base backups mean nothing here.
    """
    parsed = base_verify_options(options)

    def make(context: VerifierContext) -> PgLogicalVerifier:
        return PgLogicalVerifier(options=parsed, context=context)

    return make
