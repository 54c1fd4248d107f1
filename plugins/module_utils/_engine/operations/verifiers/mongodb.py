# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifiers of MongoDB backups, from a verification's options."""

from __future__ import annotations

import typing as t

from ...mongodb.verifier import MongoFullVerifier
from ...mongodb.verifier_options import verifier_options
from ...recovery.verifier import VerifierContext, VerifierFactory


def full(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Full dumps. Options: mongod (a program), cache_megabytes, parallel. Raises RequestInvalid for what can't be."""
    parsed = verifier_options(options)

    def make(context: VerifierContext) -> MongoFullVerifier:
        return MongoFullVerifier(options=parsed, manifest=context.manifest, host=context.host)

    return make
