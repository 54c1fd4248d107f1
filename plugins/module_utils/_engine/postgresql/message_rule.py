# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rule of the table: a text that PostgreSQL prints, and the error that it stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core.errors import LifeboatError


@dataclass(frozen=True)
class Rule:
    """*message* and *hint* are filled with the pattern's named groups and those of ``messages.Address``.

    Also known are ``line`` (the line that matched) and, for pg_hba.conf, ``hba_type`` and ``hba_peer``. A group whose
    name ends in 2 stands for the one without in the second half of a pattern.
    """

    pattern: re.Pattern[str]
    error: type[LifeboatError]
    message: str
    hint: str


def rule(*patterns: str, error: type[LifeboatError], message: str, hint: str) -> Rule:
    """A rule for any of the *patterns*."""
    return Rule(re.compile("|".join(patterns), re.DOTALL), error, message, hint)
