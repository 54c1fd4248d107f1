# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifiers of backups of files, from the options of a verification."""

from __future__ import annotations

import typing as t

from ...files.app_verifier import AppVerifier
from ...files.static_verifier import StaticVerifier
from ...files.verifier import FilesVerifier
from ...files.verifier_options import FilesVerifierOptions
from ...recovery.verifier import VerifierContext, VerifierFactory


def config(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Of configuration. Raises RequestInvalid for options that can't be."""
    parsed = FilesVerifierOptions.from_description(options)

    def make(context: VerifierContext) -> FilesVerifier:
        return FilesVerifier(kind="config", options=parsed, context=context)

    return make


def static(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Of assets and logs, with what increments build on. Raises RequestInvalid for options that can't be."""
    parsed = FilesVerifierOptions.from_description(options)

    def make(context: VerifierContext) -> StaticVerifier:
        return StaticVerifier(options=parsed, context=context)

    return make


def app(options: t.Mapping[str, t.Any]) -> VerifierFactory:
    """Of an application. Raises RequestInvalid for options that can't be."""
    parsed = FilesVerifierOptions.from_description(options)

    def make(context: VerifierContext) -> AppVerifier:
        return AppVerifier(kind="app", options=parsed, context=context)

    return make
