# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a description, taken one by one, so that what nobody asked for is found out."""

from __future__ import annotations

import difflib
import re
import typing as t

from ..core.errors import RequestInvalid

_NEVER_SHOWN = frozenset({"credentials", "env", "command"})


class Fields:
    """The description of *place* ("The repository offsite"). Values that are None count as left out."""

    def __init__(self, description: t.Mapping[str, t.Any], *, place: str, ignored: t.Collection[str] = ()) -> None:
        self._values = {key: value for key, value in description.items() if value is not None and key not in ignored}
        self._place = place
        self._asked: list[str] = []

    def text(self, key: str, *, like: str = r".+", form: str = "a text", hint: str = "") -> str | None:
        """The text of *key*, None when it is left out. Raises RequestInvalid when it isn't as the pattern *like*."""
        value = self._take(key)
        if value is not None and not (isinstance(value, str) and re.fullmatch(like, value)):
            raise self.invalid(key, form, hint=hint)
        return value

    def flag(self, key: str) -> bool | None:
        """The truth value of *key*, None when it is left out."""
        value = self._take(key)
        if value is not None and not isinstance(value, bool):
            raise self.invalid(key, "true or false")
        return value

    def number(self, key: str, *, lowest: int, highest: int) -> int | None:
        """The whole number of *key*, None when it is left out."""
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise self.invalid(key, f"a whole number from {lowest} to {highest}")
        return value

    def section(self, key: str) -> Fields | None:
        """What is below *key*, None when it is left out."""
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, t.Mapping):
            raise self.invalid(key, "keys of its own")
        return Fields(value, place=f"{self._place}, {key},")

    def require_one(self) -> None:
        """Raise RequestInvalid unless exactly one of the keys that were asked for is there."""
        given = [key for key in self._asked if key in self._values]
        if len(given) != 1:
            raise RequestInvalid(
                f"{self._place} has {' and '.join(given) or 'no key'}; it needs exactly one.",
                hint=f"Keep one of {', '.join(self._asked)}.",
            )

    def refuse_rest(self) -> None:
        """Raise RequestInvalid when a key is there that was not asked for."""
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(str(key), self._asked, n=1)
                allowed = f"Allowed are: {', '.join(sorted(self._asked))}."
                raise RequestInvalid(
                    f"{self._place} has the unknown key {key!r}.",
                    hint=f"Did you mean {near[0]}? {allowed}" if near else allowed,
                    details={"key": str(key), "allowed": sorted(self._asked)},
                )

    def invalid(self, key: str, form: str, *, hint: str = "") -> RequestInvalid:
        """The error for a value that isn't *form*."""
        value = self._values.get(key)
        # Not shown where a password may be in it.
        secret = key in _NEVER_SHOWN or "@" in str(value)
        found = "" if secret else f"; it has {'nothing' if value is None else repr(value)}"
        return RequestInvalid(
            f"{self._place} needs {form} as {key}{found}.",
            hint=f"Write for example {hint}" if hint else "",
            details={"key": key},
        )

    def _take(self, key: str) -> t.Any:
        self._asked.append(key)
        return self._values.get(key)
