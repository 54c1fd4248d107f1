# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restorers of backups of files, from the options of a restore."""

from __future__ import annotations

import typing as t

from ...files.restore_options import restore_options_from
from ...files.restorer import make_restorer
from ...recovery.restorer import Restorer, RestorerContext, RestorerFactory


def config(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """Of configuration. Raises RequestInvalid for options that can't be."""
    parsed = restore_options_from(options)

    def make(context: RestorerContext) -> Restorer:
        return make_restorer(kind="config", options=parsed, context=context)

    return make


def static(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """Assets and logs, with what increments build on. Raises RequestInvalid for options that can't be."""
    parsed = restore_options_from(options)

    def make(context: RestorerContext) -> Restorer:
        return make_restorer(kind="static", options=parsed, context=context)

    return make


def app(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """Of an application. Raises RequestInvalid for options that can't be."""
    parsed = restore_options_from(options)

    def make(context: RestorerContext) -> Restorer:
        return make_restorer(kind="app", options=parsed, context=context)

    return make
