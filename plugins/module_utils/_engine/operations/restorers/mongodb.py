# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restorers of MongoDB dumps, from the options of a restore."""

from __future__ import annotations

import typing as t

from ...mongodb.restore_options import restore_options_from
from ...mongodb.restorer import MongoRestorer
from ...recovery.restorer import RestorerContext, RestorerFactory


def full(options: t.Mapping[str, t.Any]) -> RestorerFactory:
    """Of full dumps. Raises RequestInvalid for options that can't be."""
    parsed = restore_options_from(options)

    def make(context: RestorerContext) -> MongoRestorer:
        return MongoRestorer(options=parsed, context=context)

    return make
