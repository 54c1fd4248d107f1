# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a set (kind ``system``) may be asked to be. Which jobs it consists of is read by the description."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.description.duration import parse_duration
from ..core.errors import ConfigurationInvalid, RequestInvalid
from ..core.options import refuse_unknown

_KEYS = ("include", "exclude", "wait")
_OF = "system backup"


@dataclass(frozen=True)
class SetOptions:
    """*wait* is how many seconds another run of a member's source is waited for."""

    wait: float = 3600.0


def set_options_from(description: t.Mapping[str, t.Any]) -> SetOptions:
    """The options of a description. Raises RequestInvalid."""
    given = {key: value for key, value in description.items() if key != "connection"}
    refuse_unknown(given, known=_KEYS, of=_OF)
    if description.get("connection"):
        raise RequestInvalid(
            "A set consists of backups of other sources; it has no connection of its own.",
            hint="Leave connection out of the source.",
        )
    if "wait" not in given:
        return SetOptions()
    try:
        return SetOptions(wait=parse_duration(str(given["wait"])).total_seconds())
    except ConfigurationInvalid as error:
        raise RequestInvalid(f"{_OF}.wait: {error.message}", hint=error.hint) from error
