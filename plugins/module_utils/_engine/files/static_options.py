# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup of the kind static may be asked to be."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from ..core.description.duration import parse_duration
from ..core.errors import RequestInvalid
from ..core.options import optional_text, refuse_unknown
from .options import FilesPlaces

STATIC = "static"
_KEYS = ("connection", "max_steps", "max_age")
_OF = "files backup of the kind static"
MOST_STEPS = 1000
DEFAULT_STEPS = 30


@dataclass(frozen=True)
class StaticOptions:
    """*max_steps* is how many increments may follow a whole backup, *max_age* how old it may be: then comes the next
    whole one.
    """

    places: FilesPlaces
    max_steps: int = DEFAULT_STEPS
    max_age: datetime.timedelta = datetime.timedelta(days=30)

    @classmethod
    def from_description(cls, description: t.Mapping[str, t.Any]) -> StaticOptions:
        """The options of a description. Raises RequestInvalid and DurationInvalid."""
        refuse_unknown(description, known=_KEYS, of=_OF)
        connection = description.get("connection")
        if connection is not None and not isinstance(connection, t.Mapping):
            raise RequestInvalid("connection must be a mapping such as {paths: [/srv/shop/media]}.")
        age = optional_text(description, "max_age", of=_OF)
        return cls(
            places=FilesPlaces.from_description(connection or {}),
            max_steps=_steps(description.get("max_steps")),
            max_age=parse_duration(age) if age else cls.max_age,
        )


def _steps(given: object) -> int:
    if given is None:
        return DEFAULT_STEPS
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST_STEPS:
        raise RequestInvalid(
            f"{_OF}.max_steps must be a whole number from 0 (no increments) to {MOST_STEPS}, not {given!r}."
        )
    return given
