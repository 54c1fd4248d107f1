# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restorers of Redis and Valkey backups, from the options of a restore."""

from __future__ import annotations

import typing as t

from ...recovery.restorer import Restorer, RestorerContext, RestorerFactory
from ...redis.restore_options import restore_options_from
from ...redis.restorer import make_restorer


def rdb(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """Of snapshots. Raises RequestInvalid for options that can't be."""
    return _restorer(options, kind="rdb")


def aof(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """Of sets of append-only files. Raises RequestInvalid for options that can't be."""
    return _restorer(options, kind="aof")


def _restorer(options: t.Mapping[str, t.Any], *, kind: str) -> RestorerFactory:
    parsed = restore_options_from(options)

    def make(context: RestorerContext) -> Restorer:
        return make_restorer(kind=kind, options=parsed, context=context)

    return make
