# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of a manifest, each exactly as :mod:`manifest_schema` describes it: nothing is converted or guessed.

Hosts that read manifests need no schema library this way; a test compares the two on mutated manifests.
"""

from __future__ import annotations

import datetime
import re
import sys
import typing as t

from ..core.clock import parse_time
from ..core.ids import is_backup_id, is_name

_LONGEST_SHOWN = 80
_LONGEST_PROBLEM = 300


class Fields:
    """The properties of one object of a manifest. Every method raises ``ValueError`` that names the property."""

    def __init__(self, value: t.Any, *, place: str) -> None:
        self._place = place
        if not isinstance(value, dict):
            raise self._wrong("", "not an object")
        self._document: dict[str, t.Any] = value

    def has(self, key: str) -> bool:
        """Whether there is such a property, be it null."""
        return key in self._document

    def given(self, key: str) -> bool:
        """Whether the property, which must be there, is something other than null."""
        return self._get(key) is not None

    def text(self, key: str, *, like: str = r"(?s:.*)") -> str:
        """A text that the pattern *like* matches whole."""
        value = self._get(key)
        if not isinstance(value, str) or not re.fullmatch(like, value, re.ASCII):
            raise self._wrong(key, f"{_shown(value)}, which is not what it should be")
        return value

    def name(self, key: str) -> str:
        """What can name a folder."""
        value = self._get(key)
        if not isinstance(value, str) or not is_name(value):
            raise self._wrong(key, f"{_shown(value)}, which is no name")
        return value

    def backup_id(self, key: str) -> str:
        """A backup id."""
        value = self._get(key)
        if not isinstance(value, str) or not is_backup_id(value):
            raise self._wrong(key, f"{_shown(value)}, which is no backup id")
        return value

    def time(self, key: str) -> datetime.datetime:
        """A time in UTC, written with a Z."""
        value = self._get(key)
        if not isinstance(value, str) or not value.endswith("Z"):
            raise self._wrong(key, f"{_shown(value)}, which is no time in UTC")
        return parse_time(value)

    def whole(self, key: str, *, lowest: int = 0, highest: int | None = None) -> int:
        """A whole number in a range."""
        value = self._get(key)
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or value < lowest
            or (highest is not None and value > highest)
        ):
            raise self._wrong(key, f"{_shown(value)}, which is no number of its range")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, f"{_shown(value)}, which is neither true nor false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "no list of texts")
        return tuple(value)

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names, not empty."""
        value = self.texts(key)
        if not value or not all(is_name(item) for item in value):
            raise self._wrong(key, f"{_shown(value)}, which is no list of names")
        return value

    def values(self, key: str) -> list[t.Any]:
        """A list of whatever values."""
        value = self._get(key)
        if not isinstance(value, list):
            raise self._wrong(key, "no list")
        return value

    def object(self, key: str) -> dict[str, t.Any]:
        """An object of whatever content."""
        value = self._get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "not an object")
        return value

    def objects(self, key: str, *, may_be_empty: bool = False) -> list[Fields]:
        """A list of objects, not empty unless it may be."""
        value = self._get(key)
        if not isinstance(value, list) or not (value or may_be_empty):
            raise self._wrong(key, "no list of objects")
        return [Fields(item, place=f"{key}[{position}]") for position, item in enumerate(value)]

    def fields(self, key: str) -> Fields:
        """An object whose properties are known."""
        return Fields(self._get(key), place=key)

    def texts_by_name(self, key: str) -> dict[str, str]:
        """An object whose values are texts."""
        value = self.object(key)
        if not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, "no object of texts")
        return value

    def seconds(self, key: str) -> float:
        """A duration."""
        value = self._get(key)
        if not _is_duration(value):
            raise self._wrong(key, f"{_shown(value)}, which is no duration")
        return float(value)

    def seconds_by_name(self, key: str) -> dict[str, float]:
        """An object whose values are seconds."""
        value = self.object(key)
        for item in value.values():
            if not _is_duration(item):
                raise self._wrong(key, f"an object with {_shown(item)}, which is no duration")
        return {name: float(item) for name, item in value.items()}

    def _get(self, key: str) -> t.Any:
        if key not in self._document:
            raise self._wrong(key, "missing")
        return self._document[key]

    def _wrong(self, key: str, problem: str) -> ValueError:
        return ValueError(f"{'.'.join(part for part in (self._place, key) if part)} is {problem}")


def shortened(problem: str) -> str:
    """What is wrong, in a length that people read."""
    return problem if len(problem) <= _LONGEST_PROBLEM else f"{problem[:_LONGEST_PROBLEM]}..."


def _is_duration(value: t.Any) -> bool:
    # JSON's whole numbers have no end; those beyond any float are no durations.
    return not isinstance(value, bool) and isinstance(value, (int, float)) and 0 <= value <= sys.float_info.max


def _shown(value: t.Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
