# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a description: each value of the right type, and no key that nobody knows."""

from __future__ import annotations

import typing as t

from ..core.errors import RequestInvalid


def refuse_unknown(description: t.Mapping[str, t.Any], *, known: t.Collection[str], of: str) -> None:
    """Raise RequestInvalid when *description* has a key that is not in *known*: a typing error would go unnoticed."""
    unknown = sorted(str(key) for key in description if key not in known)
    if unknown:
        raise RequestInvalid(
            f"{of} has no option {', '.join(unknown)}.",
            hint=f"Known: {', '.join(sorted(known))}.",
            details={"unknown": unknown},
        )


def optional_text(description: t.Mapping[str, t.Any], key: str, *, of: str) -> str | None:
    """The text under *key*, None when it is not there. Raises RequestInvalid for anything else and for empty text."""
    value = description.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise RequestInvalid(f"{of}.{key} must be a text that is not empty, not {type(value).__name__}.")
    return value


def number(description: t.Mapping[str, t.Any], key: str, *, of: str, default: float, at_most: float) -> float:
    """The number under *key*, more than 0 and at most *at_most*; digits in a text will do. Raises RequestInvalid."""
    value = description.get(key)
    if value is None:
        return default
    found: float | None = None
    if not isinstance(value, bool):
        try:
            found = float(value)
        except (TypeError, ValueError):
            found = None
    if found is None or not 0 < found <= at_most:
        raise RequestInvalid(f"{of}.{key} must be a number above 0 and at most {at_most:g}, not {value!r}.")
    return found


def flag(description: t.Mapping[str, t.Any], key: str, *, of: str) -> bool:
    """The truth value under *key*, False when it is not there. Raises RequestInvalid for anything else."""
    value = description.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise RequestInvalid(f"{of}.{key} must be true or false, not {value!r}.")
    return value
