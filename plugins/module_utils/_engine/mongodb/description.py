# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a description, where core.options does not go: mappings, lists, choices."""

from __future__ import annotations

import typing as t

from ..core.errors import RequestInvalid


def mapping(description: t.Mapping[str, t.Any], key: str, *, of: str) -> t.Mapping[str, t.Any]:
    """The mapping under *key*, an empty one when it is not there. Raises RequestInvalid for anything else."""
    value = description.get(key)
    if value is None:
        return {}
    if not isinstance(value, t.Mapping):
        raise RequestInvalid(f"{of}.{key} must be a mapping, not {type(value).__name__}.")
    return value


def texts(description: t.Mapping[str, t.Any], key: str, *, of: str) -> tuple[str, ...]:
    """The list of texts under *key*, empty when it is not there. Raises RequestInvalid for anything else."""
    value = description.get(key)
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, t.Sequence):
        raise RequestInvalid(f"{of}.{key} must be a list, not {type(value).__name__}.")
    for part in value:
        if not isinstance(part, str) or not part:
            raise RequestInvalid(f"{of}.{key} must hold texts that are not empty, not {part!r}.")
    return tuple(value)


def choice(description: t.Mapping[str, t.Any], key: str, *, of: str, choices: t.Sequence[str], default: str) -> str:
    """The text under *key*, which must be one of *choices*. Raises RequestInvalid."""
    value = description.get(key, default)
    if value not in choices:
        raise RequestInvalid(f"{of}.{key} must be one of {', '.join(choices)}, not {value!r}.")
    return str(value)


def flag(description: t.Mapping[str, t.Any], key: str, *, of: str, default: bool) -> bool:
    """The truth value under *key*, *default* when it is not there. Raises RequestInvalid for all but true and false."""
    value = description.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise RequestInvalid(f"{of}.{key} must be true or false, not {value!r}.")
    return value
