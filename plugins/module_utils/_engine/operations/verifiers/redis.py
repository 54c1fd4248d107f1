# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifiers of Redis and Valkey backups, from the options of a verification."""

from __future__ import annotations

import typing as t

from ...recovery.verifier import VerifierContext, VerifierFactory
from ...redis.verifier import RedisVerifier
from ...redis.verifier_options import RedisVerifierOptions


def rdb(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Of snapshots. Raises RequestInvalid for options that can't be."""
    return _verifier(options, kind="rdb")


def aof(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Of sets of append-only files. Raises RequestInvalid for options that can't be."""
    return _verifier(options, kind="aof")


def _verifier(options: t.Mapping[str, t.Any], *, kind: str) -> VerifierFactory:
    parsed = RedisVerifierOptions.from_description(options)

    def make(context: VerifierContext) -> RedisVerifier:
        return RedisVerifier(kind=kind, options=parsed, context=context)

    return make
